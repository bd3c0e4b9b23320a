//! Values that people write: durations, instants, names with values.

use std::time::Duration;

use majordomo::{Keep, State, Timestamp};
use serde_json::Value;

/// `5m`, `1h 30m`
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write for example `30s`, `5m` or `1h 30m`"))
}

/// `7d`, `forever`
pub(super) fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "forever" => Ok(Keep::Forever),
        text => duration(text)
            .map(Keep::For)
            .map_err(|error| format!("{error}, or `forever`")),
    }
}

/// From 1 to 10,000.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text
        .parse()
        .ok()
        .filter(|count| (1..=10_000).contains(count));
    count.ok_or_else(|| "not a number from 1 to 10000".to_owned())
}

/// `2030-01-31T09:30:00Z`
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "not an instant in RFC 3339; write for example `2030-01-31T09:30:00Z` or `2030-01-31T10:30:00+01:00`".to_owned()
    })
}

/// `key=value`; the value as JSON if it is that, else as text.
pub(super) fn entry(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write it as `key=value`")?;
    if key.is_empty() {
        return Err("the key is empty; write it as `key=value`".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

/// One of the states, of which a shell can then list all.
pub(super) fn state() -> impl clap::builder::TypedValueParser<Value = State> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(State::ALL.map(State::as_str)).try_map(|name| name.parse::<State>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_bad_ones_say_how_to_write_them() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(
            duration("5 apples")
                .unwrap_err()
                .contains("write for example `30s`")
        );
        assert_eq!(keep("forever"), Ok(Keep::Forever));
        assert_eq!(keep("1m"), Ok(Keep::For(Duration::from_secs(60))));
        assert!(keep("never").unwrap_err().ends_with("or `forever`"));
        assert_eq!(count("64"), Ok(64));
        assert!(count("0").is_err() && count("many").is_err());
        assert!(instant("2030-01-31T10:30:00+01:00").is_ok());
        assert!(instant("tomorrow").unwrap_err().contains("RFC 3339"));
        assert_eq!(entry("n=7"), Ok(("n".to_owned(), Value::from(7))));
        assert_eq!(
            entry("city=Oslo=1"),
            Ok(("city".to_owned(), Value::from("Oslo=1")))
        );
        assert!(entry("n").is_err() && entry("=7").is_err());
    }
}
