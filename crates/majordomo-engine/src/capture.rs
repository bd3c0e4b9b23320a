//! Keeps what the code of a job logs with the job: a layer for the subscribers
//! of `tracing`.
//!
//! Each attempt runs in a span named `job`. The layer marks that span with the
//! attempt, and finds the mark again from any event inside it: also from spans
//! within it, from the threads of blocking tasks, and from tasks that were
//! spawned with `in_current_span`.
//!
//! A layer sees a new span's fields and nothing else, and an attempt is no
//! field. So the attempt is laid down for the thread that opens its span, and
//! the layer, which is called on that thread, picks it up.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use majordomo_core::{LogLine, Timestamp, limits};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::live::Live;
use crate::span::TARGET;

/// Whether there is a layer, so that attempts of programs without one need not care.
static ASKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The attempt whose span this thread is opening.
    static OPENING: RefCell<Weak<Live>> = const { RefCell::new(Weak::new()) };
}

/// A layer that keeps the lines of jobs with their jobs, from `info` upwards.
///
/// Each line is kept as `target: message field=value ..`, cut to 16 KiB, and of
/// a job the latest 500 lines within 256 KiB, together with those of
/// [`crate::Context::log`]. Lines are written a few times a second and with the
/// end of the attempt; they never delay the code that logs them. Lines outside
/// any job are left alone, and so are those of the engine itself, which say what
/// the record of the attempt says.
///
/// A filter for the whole subscriber, such as `with_env_filter`, also decides
/// what this layer gets to see. So give the other layers filters of their own.
///
/// ```
/// use majordomo_engine::capture;
/// use tracing::Level;
/// use tracing_subscriber::filter::LevelFilter;
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN))
///     .with(capture::layer().level(Level::DEBUG))
///     .init();
/// ```
#[must_use]
pub fn layer() -> Capture {
    ASKED.store(true, Ordering::Relaxed);
    Capture {
        level: LevelFilter::INFO,
    }
}

/// The layer that [`layer`] makes.
#[derive(Clone, Debug)]
pub struct Capture {
    level: LevelFilter,
}

impl Capture {
    /// Keeps lines of this level and of those above it; `info` by default.
    #[must_use]
    pub fn level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.level = level.into();
        self
    }
}

/// The mark on the span of an attempt.
struct Attempt(Weak<Live>);

/// Lays the attempt down for the layer while its span is opened.
pub(crate) fn hand_over<T>(live: &Arc<Live>, open: impl FnOnce() -> T) -> T {
    if !ASKED.load(Ordering::Relaxed) {
        return open();
    }
    OPENING.set(Arc::downgrade(live));
    let opened = open();
    OPENING.take();
    opened
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        if attributes.metadata().target() != TARGET {
            return;
        }
        let attempt = OPENING.with_borrow(Weak::clone);
        if let Some(span) = cx.span(id) {
            span.extensions_mut().replace(Attempt(attempt));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > self.level || is_own(metadata.target()) {
            return;
        }
        let Some(live) = attempt_of(event, &cx) else {
            return;
        };
        let mut text = Text::default();
        let _ = write!(text, "{}:", metadata.target());
        event.record(&mut text);
        live.log(LogLine {
            at: Timestamp::now(),
            level: name_of(*metadata.level()).to_owned(),
            message: limits::shorten(&text.0, limits::ERROR),
        });
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
}

/// The attempt that an event belongs to: the one of the innermost span that has one.
fn attempt_of<S: Subscriber + for<'a> LookupSpan<'a>>(
    event: &Event<'_>,
    cx: &Context<'_, S>,
) -> Option<Arc<Live>> {
    cx.event_scope(event)?.find_map(|span| {
        let extensions = span.extensions();
        extensions.get::<Attempt>()?.0.upgrade()
    })
}

/// Whether the engine itself says it.
fn is_own(target: &str) -> bool {
    target
        .strip_prefix("majordomo_engine")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A line in the making. It takes no more than a little over what is kept, so
/// that a value without end is not written to its end.
#[derive(Default)]
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() > limits::ERROR {
            return Err(fmt::Error);
        }
        // One byte too many is enough to show that something was cut.
        self.0.push_str(&limits::shorten(text, limits::ERROR + 1));
        Ok(())
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // It fails when there is no room for more, which is no failure.
        let _ = match field.name() {
            "message" => write!(self, " {value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_lines_are_told_from_those_of_others() {
        assert!(is_own("majordomo_engine") && is_own("majordomo_engine::worker::attempt"));
        assert!(!is_own("majordomo_engineering") && !is_own("app::majordomo_engine"));
    }

    #[test]
    fn a_line_takes_little_more_than_is_kept_of_it() {
        let mut text = Text::default();
        let endless = std::iter::repeat_n("ä", 1_000_000).collect::<String>();
        for _ in 0..10 {
            let _ = write!(text, "{endless}{endless:?}");
        }
        assert!(text.0.len() <= 2 * limits::ERROR + 2);
        let kept = limits::shorten(&text.0, limits::ERROR);
        assert!(kept.ends_with('…') && kept.len() <= limits::ERROR);
    }
}
