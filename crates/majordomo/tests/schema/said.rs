//! What attributes and other types say about a payload.

use majordomo::Task;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Item, item, schema_of, text};

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn seven() -> u8 {
    7
}

fn is_seven(value: &u8) -> bool {
    *value == 7
}

#[derive(Serialize, Deserialize, Task)]
#[serde(default, deny_unknown_fields)]
struct Functions {
    #[serde(with = "as_text")]
    with: u8,
    #[serde(
        serialize_with = "as_text::serialize",
        deserialize_with = "as_text::deserialize"
    )]
    both: u8,
    #[serde(default = "seven", skip_serializing_if = "is_seven")]
    seven: u8,
    #[serde(alias = "old", alias = "older")]
    new: Item,
}

impl Default for Functions {
    fn default() -> Self {
        Self {
            with: 1,
            both: 2,
            seven: 3,
            new: item(),
        }
    }
}

#[derive(Serialize, Deserialize, Task)]
struct RequiredFunction {
    #[serde(deserialize_with = "Option::deserialize")]
    maybe: Option<u8>,
    #[serde(alias = "old")]
    new: u8,
}

#[test]
fn functions_defaults_and_aliases_are_allowed_for() {
    let values = [
        Functions::default(),
        Functions {
            seven: 7,
            ..Functions::default()
        },
    ];
    let taken = [
        json!({}),
        json!({"old": {"name": "a"}}),
        json!({"older": {"name": "a"}, "with": "3"}),
    ];
    schema_of(
        &values,
        &taken,
        &[json!({"seven": "x"}), json!({"unknown": 1})],
    );
    let taken = [
        json!({"maybe": null, "new": 1}),
        json!({"maybe": null, "old": 1}),
    ];
    schema_of(
        &[RequiredFunction {
            maybe: None,
            new: 1,
        }],
        &taken,
        &[json!({"new": 1}), json!({"maybe": 1, "old": "x"})],
    );
}

#[derive(Serialize, Deserialize, Task, Clone)]
#[serde(try_from = "String", into = "String")]
struct Email(
    String,
    #[expect(dead_code, reason = "not in the payload")] Item,
);

impl TryFrom<String> for Email {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('@') {
            Ok(Self(text, Item::default()))
        } else {
            Err(format!("`{text}` is no address"))
        }
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

#[test]
fn a_payload_read_through_another_type_has_its_shape() {
    #[derive(Serialize, Deserialize, Clone, Task)]
    #[serde(from = "Raw", into = "Raw", tag = "kind", rename_all = "camelCase")]
    struct Cooked {
        doubled: u8,
    }
    #[derive(Serialize, Deserialize, Clone, schemars::JsonSchema)]
    struct Raw {
        half: u8,
    }
    impl From<Raw> for Cooked {
        fn from(raw: Raw) -> Self {
            Self {
                doubled: raw.half * 2,
            }
        }
    }
    impl From<Cooked> for Raw {
        fn from(cooked: Cooked) -> Self {
            Self {
                half: cooked.doubled / 2,
            }
        }
    }
    schema_of(&[Cooked { doubled: 4 }], &[], &[json!({"doubled": 4})]);
    let schema = schema_of(&[Email(text("a@b"), item())], &[], &[json!({})]);
    assert_eq!(schema["type"], "string");
}

#[derive(Serialize, Deserialize, Task, schemars::JsonSchema)]
#[schemars(extend("x-own" = true))]
struct Own {
    children: Vec<Own>,
}

#[derive(Serialize, Deserialize, Task)]
#[schemars(deny_unknown_fields)]
struct Told {
    /// From 1.
    #[schemars(range(min = 1, max = 10))]
    stars: u8,
    #[schemars(with = "String")]
    path: Option<Item>,
    #[serde(with = "as_text")]
    #[schemars(schema_with = "digits", description = "Digits.")]
    digits: u8,
    #[schemars(required)]
    must: Option<u8>,
}

fn digits(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "pattern": "^[0-9]+$"})
}

#[test]
fn a_payload_can_say_more_about_itself() {
    let schema = schema_of(
        &[Own {
            children: vec![Own {
                children: Vec::new(),
            }],
        }],
        &[],
        &[json!({"children": [1]})],
    );
    assert_eq!(schema["x-own"], true);

    let schema = Told::schema().unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({"stars": 3, "path": "a", "digits": "12", "must": 1})));
    assert!(validator.is_valid(&json!({"stars": 3, "digits": "12", "must": 1})));
    for refused in [
        json!({"stars": 3, "path": "a", "digits": "12"}),
        json!({"stars": 11, "path": "a", "digits": "12", "must": 1}),
        json!({"stars": 3, "path": 1, "digits": "12", "must": 1}),
        json!({"stars": 3, "path": "a", "digits": "x", "must": 1}),
        json!({"stars": 3, "path": "a", "digits": "12", "must": 1, "more": 1}),
    ] {
        assert!(!validator.is_valid(&refused), "{refused}");
    }
    assert_eq!(schema["properties"]["stars"]["description"], "From 1.");
}
