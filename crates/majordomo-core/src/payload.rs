//! A job's arguments: bytes and the codec that wrote them. They are parsed
//! once, by the handler; a storage keeps them as they came.
//!
//! What one storage takes, every storage takes: NUL characters, deep nesting
//! and endless numbers, which some databases can't keep, are refused alike
//! when a job is inserted.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::limits;

/// The name of the format that a payload's bytes are in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Codec(Cow<'static, str>);

impl Codec {
    /// UTF-8 JSON, the default.
    pub const JSON: Self = Self(Cow::Borrowed("json"));

    /// A codec by its name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        if name == "json" {
            Self::JSON
        } else {
            Self(Cow::Owned(name))
        }
    }

    /// The codec's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Arguments as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The format of the bytes.
    pub codec: Codec,
    /// The encoded arguments.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// The arguments as JSON.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] if they can't be written as JSON, for example
    /// because a map has keys that are not strings.
    pub fn json<T: Serialize + ?Sized>(arguments: &T) -> Result<Self> {
        let bytes = serde_json::to_vec(arguments)
            .map_err(|source| Error::invalid("cannot encode the payload as JSON").source(source))?;
        Ok(Self {
            codec: Codec::JSON,
            bytes,
        })
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// In words, if the codec is not known here or the bytes don't fit the type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        if self.codec != Codec::JSON {
            return Err(format!(
                "the payload's codec `{}` is not known here",
                self.codec.as_str()
            ));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| error.to_string())
    }

    /// Refuses what some storage could not keep.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLarge`] over [`limits::PAYLOAD`]; [`crate::ErrorKind::Invalid`] for JSON
    /// that does not parse, holds NUL characters, nests deeper than
    /// [`limits::DEPTH`] or has a number longer than [`limits::NUMBER`].
    pub fn check(&self) -> Result<()> {
        limits::check("the payload", self.bytes.len(), limits::PAYLOAD)?;
        limits::check_name("codec", self.codec.as_str())?;
        if self.codec != Codec::JSON {
            return Ok(());
        }
        check_json_shape("the payload", &self.bytes)?;
        serde_json::from_slice::<IgnoredAny>(&self.bytes)
            .map(|_| ())
            .map_err(|source| Error::invalid("the payload is not valid JSON").source(source))
    }
}

/// Refuses a JSON value that some storage could not keep, as [`Payload::check`]
/// does: outputs, checkpoints, metadata and documents all pass here.
///
/// # Errors
/// As [`Payload::check`], naming `what`, with `limit` as the most bytes.
pub fn check_value<T: Serialize + ?Sized>(what: &str, value: &T, limit: usize) -> Result<()> {
    let json = Payload::json(value)?;
    limits::check(what, json.bytes.len(), limit)?;
    check_json_shape(what, &json.bytes)
}

/// One pass over JSON text for what a parser would let through.
fn check_json_shape(what: &str, bytes: &[u8]) -> Result<()> {
    let (mut depth, mut number, mut in_string, mut position) = (0_usize, 0_usize, false, 0_usize);
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        if in_string {
            match byte {
                b'"' => in_string = false,
                b'\\' => {
                    if bytes[position..].starts_with(b"u0000") {
                        return Err(Error::invalid(format!("{what} holds a NUL character at byte {position}"))
                            .hint("not every storage can keep it: encode such text, for example as base64"));
                    }
                    position += 1;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        number = if byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E') {
            number + 1
        } else {
            0
        };
        if depth > limits::DEPTH {
            return Err(Error::invalid(format!(
                "{what} nests deeper than {} levels",
                limits::DEPTH
            )));
        }
        if number > limits::NUMBER {
            return Err(Error::invalid(format!(
                "{what} holds a number of more than {} characters",
                limits::NUMBER
            ))
            .hint("pass such a number as a string"));
        }
    }
    Ok(())
}

/// Written as `{codec, value}` if it is JSON, so that people can read it, and as
/// `{codec, bytes}` if it is not.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("codec", &self.codec)?;
        let value = (self.codec == Codec::JSON)
            .then(|| serde_json::from_slice::<&RawValue>(&self.bytes).ok())
            .flatten();
        match value {
            Some(value) => map.serialize_entry("value", value)?,
            None => map.serialize_entry("bytes", &self.bytes)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            codec: Codec,
            value: Option<Box<RawValue>>,
            bytes: Option<Vec<u8>>,
        }
        let form = Form::deserialize(deserializer)?;
        let bytes = match (form.value, form.bytes) {
            (Some(value), None) => value.get().as_bytes().to_vec(),
            (None, Some(bytes)) => bytes,
            _ => {
                return Err(serde::de::Error::custom(
                    "a payload has either `value` or `bytes`",
                ));
            }
        };
        Ok(Self {
            codec: Codec::named(form.codec.as_str()),
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn json(text: &str) -> Payload {
        Payload {
            codec: Codec::JSON,
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn payloads_that_some_storage_could_not_keep_are_refused() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let table = [
            (r#"{"text":"a\u0000b"}"#.to_owned(), "NUL"),
            (deep(limits::DEPTH + 1), "nests deeper"),
            ("1".repeat(limits::NUMBER + 1), "number"),
            ("{\"a\":".to_owned(), "not valid JSON"),
            (String::new(), "not valid JSON"),
        ];
        for (text, reason) in table {
            let error = json(&text).check().unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        for fine in [
            deep(limits::DEPTH),
            "1".repeat(limits::NUMBER),
            r#""\\u0000 [[[ {""#.to_owned(),
            "null".to_owned(),
        ] {
            json(&fine).check().unwrap();
        }
    }

    #[test]
    fn size_is_checked_to_the_byte() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        json(&text(limits::PAYLOAD)).check().unwrap();
        assert_eq!(
            json(&text(limits::PAYLOAD + 1)).check().unwrap_err().kind(),
            ErrorKind::TooLarge
        );
    }

    #[test]
    fn a_payload_is_readable_in_json_and_comes_back_the_same() {
        let readable = json(r#"{"to":"ann"}"#);
        let text = serde_json::to_string(&readable).unwrap();
        assert_eq!(text, r#"{"codec":"json","value":{"to":"ann"}}"#);
        let opaque = Payload {
            codec: Codec::named("sealed"),
            bytes: vec![0, 159, 255],
        };
        for payload in [readable, opaque, json("not json")] {
            let text = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), payload);
        }
    }
}
