//! Finding out about the types of a payload's fields: whether each has a JSON
//! schema, and whether serde takes it as absent.
//!
//! "Whether it has" is asked by method resolution, which takes an inherent method
//! whose bounds hold before a trait's, and a trait's on the type before one on a
//! reference to it. So `(&Type::<T>::NEW).choose()` is, in this order:
//! `T` itself if it implements `JsonSchema`, [`Container::Loose`] if it is a known
//! container, [`Anything`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserializer;
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde_json::Value;

/// Stands for a type of which nothing is known.
#[derive(Debug)]
pub struct Anything;

impl JsonSchema for Anything {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

/// The type of a field.
#[derive(Debug)]
pub struct Type<T>(PhantomData<T>);

impl<T> Type<T> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

impl<T: JsonSchema> Type<T> {
    /// The type itself.
    pub const fn choose(&self) -> PhantomData<T> {
        PhantomData
    }
}

/// A container of the standard library whose content has no schema.
pub trait Container {
    /// The same container of anything.
    type Loose: JsonSchema;

    /// [`Self::Loose`].
    fn choose(&self) -> PhantomData<Self::Loose> {
        PhantomData
    }
}

impl<T> Container for Type<Option<T>> {
    type Loose = Option<Anything>;
}

impl<T> Container for Type<Vec<T>> {
    type Loose = Vec<Anything>;
}

impl<T> Container for Type<VecDeque<T>> {
    type Loose = Vec<Anything>;
}

impl<T> Container for Type<BTreeSet<T>> {
    type Loose = Vec<Anything>;
}

impl<T, S> Container for Type<HashSet<T, S>> {
    type Loose = Vec<Anything>;
}

impl<K, V> Container for Type<BTreeMap<K, V>> {
    type Loose = BTreeMap<String, Anything>;
}

impl<K, V, S> Container for Type<HashMap<K, V, S>> {
    type Loose = BTreeMap<String, Anything>;
}

/// Any other type.
pub trait Unknown {
    /// [`Anything`].
    fn choose(&self) -> PhantomData<Anything> {
        PhantomData
    }
}

impl<T> Unknown for &Type<T> {}

/// The payload as a whole.
#[derive(Debug)]
pub struct Payload<T>(PhantomData<T>);

impl<T> Payload<T> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

impl<T: JsonSchema> Payload<T> {
    /// The schema that the payload has of itself.
    pub fn schema_or(&self, _: impl FnOnce() -> Value) -> Value {
        describe::<T>()
    }
}

/// A payload that has no schema of itself.
pub trait WithoutSchema {
    /// The schema that `describe` makes.
    fn schema_or(&self, describe: impl FnOnce() -> Value) -> Value {
        describe()
    }
}

impl<T> WithoutSchema for Payload<T> {}

/// The schema of `T`, mended where fields are marked.
pub fn describe<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    RecursiveTransform(mend).transform(&mut schema);
    schema.to_value()
}

/// The keyword that marks the schema of a field that may be absent, until [`mend`] takes it out.
const MARK: &str = "x-majordomo-may-be-absent";

/// Marks a field that may be absent.
pub fn mark(schema: &mut Schema) {
    schema.insert(MARK.to_owned(), Value::Bool(true));
}

impl<T: DeserializeOwned> Type<T> {
    /// What marks a field if serde reads a `T` from nothing, as it does an `Option`.
    pub fn mark(&self) -> fn(&mut Schema) {
        if T::deserialize(Absent).is_ok() {
            mark
        } else {
            |_| {}
        }
    }
}

/// A type that serde does not read, so it does not decide about its field:
/// someone wrote `Deserialize` by hand, or the compiler refuses it in other words.
pub trait Unread {
    /// [`mark`].
    fn mark(&self) -> fn(&mut Schema) {
        mark
    }
}

impl<T> Unread for Type<T> {}

/// Takes the marks out of an object's properties, which are then not required,
/// and out of an array's items, which may then end before the first of them.
fn mend(schema: &mut Schema) {
    let mut absent = Vec::new();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let marked =
            |(name, property): (&String, &mut Value)| take_mark(property).then(|| name.clone());
        absent.extend(properties.iter_mut().filter_map(marked));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !absent.iter().any(|absent| name == absent));
        if required.is_empty() {
            schema.remove("required");
        }
    }
    if let Some(Value::Array(items)) = schema.get_mut("prefixItems") {
        let marked: Vec<bool> = items.iter_mut().map(take_mark).collect();
        if let Some(shortest) = marked.iter().position(|marked| *marked) {
            schema.insert("minItems".to_owned(), shortest.into());
        }
    }
}

/// Whether the schema of a field was marked.
fn take_mark(field: &mut Value) -> bool {
    field
        .as_object_mut()
        .and_then(|field| field.remove(MARK))
        .is_some()
}

/// What serde gives a field that is not there: an `Option` is `None` of it, and
/// everything else refuses it.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("absent"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
