//! Results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, LineStyle, Table, TableStyle};
use majordomo::{State, capture};
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::args::{Command, Format, Global};
use crate::exit::{Exit, Problem};
use crate::plain;

/// A line under the header, and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Where results go, and in which form.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    color: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let color = !global.no_color && wants_color() && io::stdout().is_terminal();
        Self {
            format: global.output,
            color,
        }
    }

    /// Whether colors are wanted.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether results are for people.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// A line for people. What comes from a job goes through [`plain`] first; this can't do
    /// it, as the colors of a table are escape sequences too.
    pub(crate) fn line(&self, line: impl Display) -> Result<(), Problem> {
        Ok(writeln!(io::stdout(), "{line}")?)
    }

    /// A result for programs: over several lines, or in one where each line is a result.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Problem> {
        let text = match self.format {
            Format::Ndjson => serde_json::to_string(value),
            Format::Json | Format::Table => serde_json::to_string_pretty(value),
        };
        let text = text.map_err(|error| {
            Problem::failed(format!("cannot write the result as JSON: {error}"))
        })?;
        self.line(plain::json(text))
    }

    /// Results for programs: one array, or each in a line.
    pub(crate) fn json_list(&self, values: &[impl Serialize]) -> Result<(), Problem> {
        match self.format {
            Format::Ndjson => values.iter().try_for_each(|value| self.json(value)),
            Format::Json | Format::Table => self.json(&values),
        }
    }

    /// Bytes as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<Exit, Problem> {
        io::stdout().write_all(bytes)?;
        Ok(Exit::Ok)
    }

    /// An empty table. On a terminal its cells are wrapped to fit.
    pub(crate) fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic);
        let cells = header.iter().map(|title| match self.color {
            true => Cell::new(title).add_attribute(Attribute::Bold),
            false => Cell::new(title),
        });
        table.set_header(cells);
        table
    }

    /// A cell in the color of a state.
    pub(crate) fn state_cell(&self, state: State, text: impl Display) -> Cell {
        let color = match state {
            State::Pending => Color::Blue,
            State::Running => Color::Cyan,
            State::Completed => Color::Green,
            State::Dead => Color::Red,
            State::Cancelled | State::Expired => Color::Yellow,
        };
        self.cell(text, color)
    }

    /// A cell in a color, if colors are wanted.
    pub(crate) fn cell(&self, text: impl Display, color: Color) -> Cell {
        let cell = Cell::new(text);
        if self.color { cell.fg(color) } else { cell }
    }
}

/// Starts logging to standard error. What the jobs of `majordomo worker` log, from `info`
/// upwards, is kept with them whatever is shown here.
pub(crate) fn log(global: &Global, command: &Command) -> Result<(), Problem> {
    let asked = global.log.clone().or_else(|| {
        std::env::var("RUST_LOG")
            .ok()
            .filter(|text| !text.is_empty())
    });
    let usual = match command {
        // The demo's jobs fail on purpose, and its bars have no room for the warnings.
        Command::Demo(_) => "off",
        // What is measured are jobs that log nothing.
        Command::Bench(_) => "warn,majordomo_engine::job=off",
        _ => "warn",
    };
    let filter = asked.unwrap_or_else(|| usual.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Problem::usage(format!("`{filter}` is not a log filter: {error}"))
            .hint("say `error`, `warn`, `info`, `debug`, `trace` or `off`, or for example `warn,majordomo_engine=debug`")
    })?;
    let color = !global.no_color && wants_color() && io::stderr().is_terminal();
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(color);
    let kept = matches!(command, Command::Worker(_)).then(capture::layer);
    tracing_subscriber::registry()
        .with(shown.with_filter(filter))
        .with(kept)
        .init();
    Ok(())
}

fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A duration in its two largest units: `2h 5m`.
pub(crate) fn short(duration: Duration) -> String {
    let kept = if duration >= Duration::from_secs(1) {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(u64::from(duration.subsec_millis()))
    };
    let text = humantime::format_duration(kept).to_string();
    text.split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The first line of a text, fit for a terminal and cut to about `width` characters.
pub(crate) fn first_line(text: &str, width: usize) -> String {
    let line = plain::line(text.lines().next().unwrap_or_default());
    if line.chars().count() <= width {
        return line;
    }
    let cut: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        let table = [
            (0, "0s"),
            (250, "250ms"),
            (61_000, "1m 1s"),
            (7_500_999, "2h 5m"),
            (90_061_000, "1day 1h"),
        ];
        for (millis, text) in table {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn long_text_is_cut_to_one_line() {
        assert_eq!(first_line("one\ntwo", 10), "one");
        assert_eq!(first_line("connection refused", 11), "connection…");
        assert_eq!(first_line("ääää", 4), "ääää");
        assert_eq!(first_line("\u{1b}]0;title", 8), "\\u{1b}]…");
    }
}
