//! What the derive writes warns of nothing, whatever is denied and whatever
//! names are taken where it is used.
#![deny(warnings, missing_docs, unused, unreachable_pub, rust_2018_idioms, single_use_lifetimes)]
#![deny(unused_qualifications, let_underscore_drop, trivial_casts)]
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "only its names matter")]
mod taken {
    pub(crate) struct Option;
    pub(crate) struct String;
    pub(crate) struct Vec;
    pub(crate) trait JsonSchema {}
    pub(crate) mod std {}
    pub(crate) mod core {}
    pub(crate) mod schemars {}
}

/// A task with all parts.
pub mod tasks {
    #[allow(unused_imports, reason = "only their names matter")]
    use crate::taken::{JsonSchema, Option, String, Vec, core, schemars, std};

    /// Every part.
    #[derive(serde::Serialize, serde::Deserialize, majordomo::Task)]
    #[task(title = "All", queue = "q", priority = 1, attempts = 2, version = 3, aliases("a"), tags("b"))]
    #[task(backoff(list("1s"), cap = "1h", jitter = 0.5, max_age = "1d"), timeout = "1s", expires = "1h")]
    #[task(retention = "1d", unique = "{text}", output = u8, retry_delay = super::never)]
    #[serde(rename_all = "camelCase")]
    pub struct All {
        /// A text.
        #[serde(alias = "old")]
        pub text: ::std::string::String,
        /// An option.
        #[serde(default)]
        #[deprecated]
        pub option: ::std::option::Option<u8>,
    }

    /// Nothing.
    #[derive(serde::Serialize, serde::Deserialize, majordomo::Task)]
    pub struct Nothing;

    /// Names.
    #[derive(serde::Serialize, serde::Deserialize, majordomo::Task)]
    pub enum Names {
        /// One.
        One,
        /// Two.
        Two,
    }

    /// Variants.
    #[derive(serde::Serialize, serde::Deserialize, majordomo::Task)]
    #[task(unique)]
    #[non_exhaustive]
    pub enum Variants {
        /// One.
        #[serde(alias = "uno")]
        One,
        /// Two.
        Two(u8, #[serde(with = "super::digits")] u8),
    }
}

/// Never retries by itself.
fn never(_: u32, _: &majordomo::core::Failure) -> Option<std::time::Duration> {
    None
}

mod digits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn main() {
    use majordomo::Task as _;
    assert!(tasks::All::schema().is_some() && tasks::Nothing::schema().is_some() && tasks::Variants::schema().is_some());
}
