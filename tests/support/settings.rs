//! Tests settings with bad values, made from a valid example. New settings are covered without a change here.

#![allow(unreachable_pub)] // Each test includes this file as its own module.

use std::collections::BTreeSet;

use campanile::ConfigError;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

/// Tries every bad value at every place of `good`, which has every setting. Each must be refused, by deserialization or by
/// `build`. `fine` lists places and values that look bad and are valid.
///
/// # Panics
///
/// If a bad value is accepted, a setting is missing from `good`, or an error does not name a setting.
pub fn refuses_bad_values<S>(good: &str, fine: &[(&str, &str)], build: impl Fn(S) -> Result<(), ConfigError>)
where
    S: Default + Serialize + DeserializeOwned,
{
    let good: Value = serde_json::from_str(good).expect("the example is JSON");
    let names = keys(&good);
    assert_eq!(keys(&serde_json::to_value(S::default()).unwrap()), names, "the example lacks a setting");
    build(serde_json::from_value(good.clone()).unwrap()).expect("the example is valid");

    let check = |place: &str, bad: &str, read: Result<S, String>| {
        let refused = match read {
            Err(why) => !why.is_empty(),
            Ok(settings) => build(settings).is_err_and(|error| {
                // Some errors have a prefix before the name of the setting.
                let mut parts = error.setting().split('.').take(2);
                assert!(parts.any(|name| names.contains(name)), "{place}: {bad}: {error}");
                true
            }),
        };
        assert_ne!(
            refused,
            fine.contains(&(place, bad)),
            "{place}: {bad} (accepted or refused unexpectedly)"
        );
    };
    for place in places(&good) {
        let here = at(&good, &place);
        for bad in bad_values(here) {
            // As text, because a `Value` cannot represent all of them.
            let text = replaced(&good, &place, Value::from("@bad@")).to_string().replace("\"@bad@\"", bad);
            check(&place, bad, serde_json::from_str(&text).map_err(|error| error.to_string()));
        }
        // Other formats have numbers that JSON lacks.
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let node = Node::of(&good, &place, bad);
            check(&place, &bad.to_string(), S::deserialize(node).map_err(|error| error.to_string()));
        }
        if let Value::Object(map) = here {
            let mut map = map.clone();
            map.insert("surplus".to_owned(), Value::from(1));
            let text = replaced(&good, &place, Value::Object(map)).to_string();
            check(&place, "one key more", serde_json::from_str(&text).map_err(|error| error.to_string()));
        }
    }
    let text = good.to_string().replacen('{', "{\"surplus\": 1, ", 1);
    let why = serde_json::from_str::<S>(&text).err().expect("an unknown key is refused").to_string();
    assert!(why.contains("surplus"), "{why}");
}

/// A builder with a value out of range, the setting and the value in its error, and the settings as JSON if JSON can represent
/// the value.
pub type OutOfRange<B> = (B, &'static str, &'static str, Option<&'static str>);

/// Asserts that the builder and `from_settings` refuse each row with an error that names the setting, its owner and the value. Every
/// setting needs a row, except `any`, for which every value is valid.
///
/// # Panics
///
/// If the assertion fails.
pub fn names_values_out_of_range<B, S>(
    rows: Vec<OutOfRange<B>>,
    any: &[&str],
    build: impl Fn(B) -> Result<(), ConfigError>,
    from_settings: impl Fn(S) -> Result<(), ConfigError>,
) where
    S: Default + Serialize + DeserializeOwned,
{
    let mut tried: BTreeSet<_> = any.iter().map(|name| (*name).to_owned()).collect();
    for (builder, setting, value, text) in rows {
        tried.insert(setting.split('.').next().unwrap_or_default().to_owned());
        let check = |result: Result<(), ConfigError>| {
            let error = result.expect_err(setting);
            assert_eq!((error.setting(), error.value()), (setting, value), "{error}");
            let message = error.to_string();
            assert!(message.starts_with(&format!("setting `{setting}` of ")), "{message}");
            assert!(message.contains(&format!("` cannot be {value}")), "{message}");
        };
        check(build(builder));
        if let Some(text) = text {
            check(from_settings(serde_json::from_str(text).expect(text)));
        }
    }
    assert_eq!(tried, keys(&serde_json::to_value(S::default()).unwrap()), "a setting has no row");
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("settings are a map").keys().cloned().collect()
}

fn bad_values(here: &Value) -> &'static [&'static str] {
    match here {
        Value::Object(_) => &["[]", "{}", "\"sheep\"", "-1", "true"],
        Value::Bool(_) => &["[]", "{}", "\"sheep\"", "-1", "1", "\"true\"", "null"],
        Value::Number(_) => &[
            "[]",
            "{}",
            "\"sheep\"",
            "\"1\"",
            "-1",
            "true",
            "4294967296",
            "1e300",
            "1e999",
            "1000000000000000000000",
        ],
        _ => &[
            "[]",
            "{}",
            "\"sheep\"",
            "\"\"",
            "\"-1s\"",
            "\"99999999999999999999s\"",
            "-1",
            "true",
            "1e300",
            "1e999",
        ],
    }
}

/// The paths of all nodes: keys, joined by dots.
fn places(value: &Value) -> Vec<String> {
    let Value::Object(map) = value else { return Vec::new() };
    let below = |(key, value): (&String, &Value)| {
        let inner = places(value).into_iter().map(|place| format!("{key}.{place}")).collect::<Vec<_>>();
        std::iter::once(key.clone()).chain(inner)
    };
    map.iter().flat_map(below).collect()
}

fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    place.split('.').fold(value, |value, key| &value[key])
}

fn replaced(value: &Value, place: &str, with: Value) -> Value {
    let mut value = value.clone();
    *place.split('.').fold(&mut value, |value, key| &mut value[key]) = with;
    value
}

/// Settings as a format with more numbers than JSON gives them.
enum Node {
    Map(Vec<(String, Node)>),
    Value(Value),
    Float(f64),
}

impl Node {
    /// `value` with the number `with` at `place`.
    fn of(value: &Value, place: &str, with: f64) -> Self {
        let (first, rest) = place.split_once('.').map_or((place, None), |(first, rest)| (first, Some(rest)));
        let node = |(key, value): (&String, &Value)| {
            let node = match rest {
                _ if key != first => Self::Value(value.clone()),
                None => Self::Float(with),
                Some(rest) => Self::of(value, rest, with),
            };
            (key.clone(), node)
        };
        Self::Map(value.as_object().expect("a place in a map").iter().map(node).collect())
    }
}

type Fault = serde_json::Error;

impl<'de> IntoDeserializer<'de, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Map(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
            Self::Value(value) => value.deserialize_any(visitor),
            Self::Float(number) => visitor.visit_f64(number),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Value(Value::Null) => visitor.visit_none(),
            node => visitor.visit_some(node),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Map(entries) => {
                let map = MapAccessDeserializer::new(MapDeserializer::new(entries.into_iter()));
                map.deserialize_enum(name, variants, visitor)
            }
            Self::Value(value) => value.deserialize_enum(name, variants, visitor),
            Self::Float(_) => Err(Fault::custom("a number is not a variant")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
