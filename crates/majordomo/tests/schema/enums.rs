//! Enums in every representation that serde has.

use std::collections::BTreeMap;

use majordomo::Task;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Address, Item, Paging, address, item, schema_of, text};

#[derive(Serialize, Deserialize, Task)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum External {
    SendMail {
        sent_to: String,
        note: Option<Item>,
    },
    SendText(Item),
    Move(u8, Item),
    Stop,
    #[serde(alias = "halt", alias = "quit")]
    End,
    #[serde(skip)]
    Never,
}

#[derive(Serialize, Deserialize, Task)]
#[serde(tag = "kind")]
enum Internal {
    Mail { to: String, note: Option<Item> },
    Strict(Address),
    Loose(Item),
    Stop,
}

#[derive(Serialize, Deserialize, Task)]
#[serde(tag = "t", content = "c", deny_unknown_fields)]
enum Adjacent {
    Mail { to: String },
    Maybe(Option<Item>),
    Two(u8, u8),
    Stop,
}

#[derive(Serialize, Deserialize, Task)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Mail { to: String, note: Option<Item> },
}

#[derive(Serialize, Deserialize, Task)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum OpenTagged {
    Mail {
        to: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Serialize, Deserialize, Task)]
enum Open {
    Mail,
    #[serde(other)]
    Other,
}

#[test]
fn an_externally_tagged_enum_is_followed() {
    let values = [
        External::SendMail {
            sent_to: text("ann"),
            note: None,
        },
        External::SendText(item()),
        External::Move(1, item()),
        External::Stop,
        External::End,
    ];
    let refused = [
        json!("never"),
        json!({"sendMail": {}}),
        json!({"send-mail": {}}),
        json!({"move": [1]}),
    ];
    schema_of(
        &values,
        &[
            json!({"send-mail": {"sentTo": "ann"}}),
            json!("halt"),
            json!("quit"),
        ],
        &refused,
    );
    assert!(matches!(External::Never, External::Never));
}

#[test]
fn an_internally_tagged_enum_is_followed() {
    let values = [
        Internal::Mail {
            to: text("ann"),
            note: Some(item()),
        },
        Internal::Strict(address()),
        Internal::Loose(item()),
        Internal::Stop,
    ];
    let refused = [
        json!({"kind": "Mail"}),
        json!({"to": "ann"}),
        json!({"kind": "Strict", "street": 1}),
    ];
    schema_of(&values, &[json!({"kind": "Mail", "to": "ann"})], &refused);
}

#[test]
fn other_enums_are_followed() {
    let values = [
        Adjacent::Mail { to: text("ann") },
        Adjacent::Maybe(None),
        Adjacent::Two(1, 2),
        Adjacent::Stop,
    ];
    let refused = [
        json!({"t": "Mail"}),
        json!({"t": "Two", "c": [1]}),
        json!({"t": "Stop", "x": 1}),
    ];
    schema_of(&values, &[json!({"t": "Maybe"})], &refused);

    let values = [
        Untagged::Number(1),
        Untagged::Mail {
            to: text("ann"),
            note: None,
        },
    ];
    schema_of(&values, &[json!({"to": "ann"})], &[json!(-1), json!({})]);

    schema_of(&[Open::Mail, Open::Other], &[json!("anything")], &[]);
    let values = [OpenTagged::Mail { to: text("ann") }, OpenTagged::Other];
    schema_of(&values, &[json!({"kind": "anything"})], &[]);
}

#[derive(Serialize, Deserialize, Task)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Mixed {
    Map(BTreeMap<String, u8>),
    Value(BTreeMap<String, Value>),
    Unit,
    Flat {
        #[serde(flatten)]
        paging: Paging,
        #[serde(default)]
        more: u8,
    },
    #[serde(untagged)]
    Rest(u8),
}

#[derive(Serialize, Deserialize, Task)]
enum Numbers {
    One = 1,
    Big = 1 << 4,
}

#[test]
fn less_common_enums_are_followed_too() {
    let mixed = [
        Mixed::Map(BTreeMap::new()),
        Mixed::Value(BTreeMap::new()),
        Mixed::Unit,
        Mixed::Rest(1),
        Mixed::Flat {
            paging: Paging { page: 1 },
            more: 2,
        },
    ];
    schema_of(&mixed, &[], &[json!({"kind": "nothing"})]);
    schema_of(&[Numbers::One, Numbers::Big], &[], &[json!("Two")]);
}
