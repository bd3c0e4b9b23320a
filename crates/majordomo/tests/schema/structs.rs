//! Structs, field by field.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;

use majordomo::Task;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Address, Item, Paging, address, item, schema_of, text};

/// What is bought.
#[derive(Serialize, Deserialize, Task)]
#[serde(rename_all = "camelCase")]
struct Order {
    /// Who buys.
    sold_to: String,
    quantity: u32,
    note: Option<String>,
    #[serde(default)]
    is_gift: bool,
    #[serde(rename = "ref")]
    reference: Option<Box<Self>>,
    parts: Vec<Self>,
    #[serde(skip)]
    #[expect(dead_code, reason = "not in the payload")]
    cache: Vec<Item>,
    marker: PhantomData<Item>,
}

#[test]
fn a_struct_is_an_object_whose_optional_fields_may_be_absent() {
    let order = |note, reference| Order {
        sold_to: text("ann"),
        quantity: 1,
        note,
        is_gift: true,
        reference,
        parts: Vec::new(),
        cache: vec![item()],
        marker: PhantomData,
    };
    let orders = [
        order(None, None),
        order(Some(text("soon")), Some(Box::new(order(None, None)))),
    ];
    let schema = schema_of(
        &orders,
        &[json!({"soldTo": "ann", "quantity": 1, "parts": [], "marker": null})],
        &[
            json!({"quantity": 1, "parts": [], "marker": null}),
            json!({"soldTo": 1, "quantity": 1, "parts": [], "marker": null}),
            json!(null),
        ],
    );
    assert_eq!(schema["title"], "Order");
    assert_eq!(schema["description"], "What is bought.");
    assert_eq!(
        schema["properties"]["soldTo"],
        json!({"type": "string", "description": "Who buys."})
    );
    assert_eq!(
        schema["required"],
        json!(["soldTo", "quantity", "parts", "marker"])
    );
    assert!(schema["properties"].get("cache").is_none());
}

type Maybe<T> = Option<T>;

#[derive(Serialize, Deserialize, Task)]
struct Loose {
    item: Item,
    maybe: Option<Item>,
    alias: Maybe<Item>,
    boxed: Box<Option<Item>>,
    list: Vec<Item>,
    map: HashMap<String, Item>,
    numbered: BTreeMap<u8, Option<Item>>,
}

#[test]
fn a_field_of_a_type_without_a_schema_takes_anything_and_a_container_of_them_is_one() {
    let map = HashMap::from([(text("a"), item())]);
    let numbered = BTreeMap::from([(1, None), (2, Some(item()))]);
    let full = Loose {
        item: item(),
        maybe: Some(item()),
        alias: None,
        boxed: Box::new(None),
        list: vec![item()],
        map,
        numbered,
    };
    let least = json!({"item": {"name": "nail"}, "list": [], "map": {}, "numbered": {}});
    let without = |key: &str| {
        let mut value = least.clone();
        value.as_object_mut().unwrap().remove(key);
        value
    };
    let with = |key: &str, wrong: Value| {
        let mut value = least.clone();
        value[key] = wrong;
        value
    };
    let refused = [
        without("item"),
        without("list"),
        without("map"),
        with("list", json!({})),
        with("map", json!([])),
        with("numbered", json!(1)),
    ];
    let schema = schema_of(&[full], std::slice::from_ref(&least), &refused);
    assert_eq!(schema["properties"]["item"], json!(true));
}

#[derive(Serialize, Deserialize, Task)]
struct Parcel {
    to: Address,
    more: Vec<Address>,
    rooms: [u8; 2],
    size: (f64, char),
    names: BTreeSet<String>,
    any: Value,
}

#[test]
fn the_schema_of_a_field_is_used_where_there_is_one() {
    let parcel = |any| Parcel {
        to: address(),
        more: vec![address()],
        rooms: [1, 2],
        size: (1.5, 'x'),
        names: BTreeSet::from([text("a")]),
        any,
    };
    let good = serde_json::to_value(parcel(json!([1]))).unwrap();
    let mut bad = good.clone();
    bad["more"][0]["street"] = json!(7);
    let mut unknown = good.clone();
    unknown["to"]["town"] = json!("Oslo");
    let schema = schema_of(
        &[parcel(json!(null)), parcel(json!({"a": 1}))],
        &[],
        &[bad, unknown],
    );
    assert_eq!(schema["properties"]["to"]["$ref"], "#/$defs/Address");
}

#[derive(Serialize, Deserialize, Task)]
struct Unit;

#[derive(Serialize, Deserialize, Task)]
struct Newtype(Vec<String>);

#[derive(Serialize, Deserialize, Task)]
struct Pair(u8, #[serde(default)] Option<Item>, #[serde(default)] u8);

#[derive(Serialize, Deserialize, Task)]
#[serde(transparent)]
struct Transparent {
    #[serde(skip)]
    #[expect(dead_code, reason = "not in the payload")]
    cache: u8,
    inner: Address,
}

#[derive(Serialize, Deserialize, Task)]
struct Empty {}

#[test]
fn every_kind_of_struct_has_the_shape_that_serde_gives_it() {
    schema_of(&[Unit], &[], &[json!(1)]);
    schema_of(&[Newtype(vec![text("a")])], &[], &[json!([1]), json!({})]);
    schema_of(
        &[Pair(1, Some(item()), 2)],
        &[json!([1]), json!([1, null])],
        &[json!([]), json!(["1"]), json!([1, null, 3, 4])],
    );
    let transparent = Transparent {
        inner: address(),
        cache: 3,
    };
    let schema = schema_of(
        &[transparent],
        &[],
        &[json!({"inner": {"street": "High"}}), json!({"street": 1})],
    );
    assert_eq!(schema["title"], "Transparent");
    schema_of(&[Empty {}], &[json!({"unknown": 1})], &[json!(1)]);
}

#[derive(Serialize, Deserialize, Task)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    strict: Option<Address>,
    #[serde(flatten)]
    item: Item,
    #[serde(flatten)]
    maybe: Option<Item>,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Serialize, Deserialize, Task)]
#[serde(deny_unknown_fields)]
struct FlatStrict {
    id: u8,
    #[serde(flatten)]
    item: Item,
}

#[test]
fn flattened_fields_stand_beside_the_others() {
    let flat = |strict, maybe| Flat {
        id: 1,
        paging: Paging { page: 2 },
        strict,
        item: item(),
        maybe,
        rest: HashMap::from([(text("extra"), json!([1]))]),
    };
    let values = [flat(None, None), flat(Some(address()), Some(item()))];
    let refused = [
        json!({"id": 1, "name": "nail"}),
        json!({"id": 1, "page": "2", "name": "nail"}),
    ];
    schema_of(
        &values,
        &[json!({"id": 1, "page": 2, "name": "nail"})],
        &refused,
    );
    let strict = FlatStrict {
        id: 1,
        item: item(),
    };
    schema_of(&[strict], &[], &[json!({"name": "nail"})]);
}

#[derive(Serialize, Deserialize, Task)]
struct Standard {
    r#type: Option<()>,
    wait: std::time::Duration,
    at: std::time::SystemTime,
    range: std::ops::Range<u8>,
    result: Result<u8, Item>,
    path: std::path::PathBuf,
    address: std::net::IpAddr,
    positive: std::num::NonZeroU8,
    none: [u8; 0],
    borrowed: std::borrow::Cow<'static, str>,
    big: i128,
    unit: (),
    nested: Vec<Option<Item>>,
    lock: std::sync::Mutex<u8>,
    wrapped: Wrapped<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wrapped<T>(T);

#[derive(Serialize, Deserialize, Task)]
#[serde(tag = "type")]
struct Tagged {
    a: u8,
}

#[test]
fn types_of_the_standard_library_are_described_as_serde_writes_them() {
    let standard = Standard {
        r#type: None,
        wait: std::time::Duration::from_millis(1),
        at: std::time::SystemTime::now(),
        range: 1..2,
        result: Err(item()),
        path: "a".into(),
        address: std::net::Ipv6Addr::LOCALHOST.into(),
        positive: std::num::NonZeroU8::MIN,
        none: [],
        borrowed: "a".into(),
        big: -5,
        unit: (),
        nested: vec![None],
        lock: 1.into(),
        wrapped: Wrapped(1),
    };
    schema_of(&[standard], &[], &[json!({})]);
    schema_of(&[Tagged { a: 1 }], &[], &[json!({})]);
}
