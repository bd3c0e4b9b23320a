//! The unique key that a whole payload is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A payload of up to so many bytes is its own key, for people to read.
const READABLE: usize = 200;

/// The task's name, and the payload as JSON with sorted keys, or its SHA-256 if
/// it is long or a key could not hold it.
///
/// `None` if the payload can't be written as JSON. That is no way around the
/// key: its enqueue fails for the same reason.
pub fn payload(name: &str, payload: &impl Serialize) -> Option<String> {
    let json = canonical(&serde_json::to_string(payload).ok()?)?;
    if json.len() <= READABLE && !json.chars().any(char::is_control) {
        return Some(format!("{name}/{json}"));
    }
    let digest = Sha256::digest(json.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{name}/sha256:{digest}"))
}

/// The same JSON with the keys of every object in order. Numbers stay as they
/// are written: through a number type large ones would become alike.
fn canonical(json: &str) -> Option<String> {
    let text = match json.as_bytes().first()? {
        b'{' => {
            let entries: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
            let entries: Option<Vec<String>> = entries
                .iter()
                .map(|(key, value)| {
                    Some(format!(
                        "{}:{}",
                        serde_json::to_string(key).ok()?,
                        canonical(value.get())?
                    ))
                })
                .collect();
            format!("{{{}}}", entries?.join(","))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let items: Option<Vec<String>> =
                items.iter().map(|item| canonical(item.get())).collect();
            format!("[{}]", items?.join(","))
        }
        _ => json.to_owned(),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter_and_numbers_stay_exact() {
        let one = canonical(r#"{"b":[{"z":1,"a":2}],"a":340282366920938463463374607431768211455}"#);
        let other =
            canonical(r#"{"a":340282366920938463463374607431768211455,"b":[{"a":2,"z":1}]}"#);
        assert_eq!(one, other);
        assert_eq!(
            one.unwrap(),
            r#"{"a":340282366920938463463374607431768211455,"b":[{"a":2,"z":1}]}"#
        );
    }

    #[test]
    fn a_long_payload_and_one_with_control_characters_are_hashed() {
        assert_eq!(payload("t", &"short").unwrap(), "t/\"short\"");
        let key = payload("t", &"x".repeat(READABLE)).unwrap();
        assert_eq!(key.len(), "t/sha256:".len() + 64);
        assert_ne!(key, payload("t", &"y".repeat(READABLE)).unwrap());
        assert!(payload("t", &"\u{7f}").unwrap().starts_with("t/sha256:"));
    }
}
