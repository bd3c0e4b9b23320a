//! The schema that `#[derive(Task)]` makes: it takes everything that the type
//! writes, and refuses what it does not read as far as the types are known.

mod enums;
mod said;
mod structs;

use majordomo::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema of `T`, once it is known to be valid, to take each of `values` as
/// `T` writes it, and to take and refuse what it should, in agreement with serde.
#[track_caller]
fn schema_of<T: Task>(values: &[T], taken: &[Value], refused: &[Value]) -> Value {
    let schema = T::schema().expect("the task has a schema");
    jsonschema::meta::validate(&schema).expect("the schema is valid");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is valid");
    let written = values
        .iter()
        .map(|value| serde_json::to_value(value).expect("serde writes the value"));
    for value in written.chain(taken.iter().cloned()) {
        assert!(
            serde_json::from_value::<T>(value.clone()).is_ok(),
            "serde refuses {value}"
        );
        assert!(
            validator.is_valid(&value),
            "the schema {schema:#} refuses {value}"
        );
    }
    for value in refused {
        assert!(
            serde_json::from_value::<T>(value.clone()).is_err(),
            "serde takes {value}"
        );
        assert!(
            !validator.is_valid(value),
            "the schema {schema:#} takes {value}"
        );
    }
    assert!(
        !schema.to_string().contains("x-majordomo"),
        "a mark was left in {schema:#}"
    );
    schema
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Has no schema.
#[derive(Serialize, Deserialize, Clone, Default)]
struct Item {
    name: String,
}

fn item() -> Item {
    Item { name: text("nail") }
}

/// Has a schema of its own.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
struct Address {
    street: String,
    number: Option<u8>,
}

fn address() -> Address {
    Address {
        street: text("High"),
        number: None,
    }
}

#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone)]
struct Paging {
    page: u32,
}
