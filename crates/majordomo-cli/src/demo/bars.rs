//! Live progress of the demo: bars on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use majordomo::Progress;

use super::plan::{Kind, Plan};

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(1);

/// The bars, one for each kind of job.
pub(super) struct Bars {
    bars: HashMap<&'static str, ProgressBar>,
    /// Where there is no terminal: when the last line was written.
    lines: Option<Mutex<Instant>>,
}

impl Bars {
    pub(super) fn new(plan: &Plan, color: bool) -> Self {
        let all = MultiProgress::new();
        let is_live = std::io::stderr().is_terminal();
        let bar = |kind: Kind| {
            // The report is one job: its bar shows how far it is.
            let length = if kind == Kind::Report {
                100
            } else {
                plan.count(kind) as u64
            };
            let bar = if is_live {
                all.add(ProgressBar::new(length))
            } else {
                ProgressBar::hidden()
            };
            bar.set_length(length);
            (
                kind.task(),
                bar.with_style(style(color)).with_prefix(kind.words()),
            )
        };
        let bars: HashMap<_, _> = Kind::ALL.into_iter().map(bar).collect();
        if is_live {
            Kind::ALL.iter().for_each(|kind| bars[kind.task()].tick());
        }
        Self {
            bars,
            lines: (!is_live).then(|| Mutex::new(Instant::now())),
        }
    }

    /// A job has ended.
    pub(super) fn ended(&self, task: &str) {
        if task != Kind::Report.task()
            && let Some(bar) = self.bars.get(task)
        {
            bar.inc(1);
        }
    }

    /// The report has come this far.
    pub(super) fn report(&self, progress: &Progress) {
        let bar = &self.bars[Kind::Report.task()];
        // Whole percents, which are never negative.
        bar.set_position(progress.percent as u64);
        bar.set_message(progress.note.clone().unwrap_or_default());
    }

    /// Time has passed: a line is due now and then.
    pub(super) fn pass(&self) {
        let Some(last) = &self.lines else { return };
        let mut last = last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.elapsed() >= LINE {
            *last = Instant::now();
            self.line();
        }
    }

    /// The end: all bars stay as they are.
    pub(super) fn finish(&self) {
        if self.lines.is_some() {
            self.line();
        }
        self.bars.values().for_each(ProgressBar::abandon);
    }

    fn line(&self) {
        let part = |kind: &Kind| {
            let bar = &self.bars[kind.task()];
            let unit = if *kind == Kind::Report { " %" } else { "" };
            format!(
                "{} {}/{}{unit}",
                kind.task(),
                bar.position(),
                bar.length().unwrap_or_default()
            )
        };
        let parts: Vec<String> = Kind::ALL.iter().map(part).collect();
        // If nobody listens there, the demo goes on all the same.
        let _ = writeln!(std::io::stderr(), "{}", parts.join(", "));
    }
}

fn style(color: bool) -> ProgressStyle {
    let template = if color {
        "{prefix:26} {bar:40.cyan/blue} {pos:>6}/{len:<6} {msg}"
    } else {
        "{prefix:26} {bar:40} {pos:>6}/{len:<6} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
