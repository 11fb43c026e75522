//! Writes a plain request as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::depth::EncodeError;
use super::digest::digest;
use super::readable::readable;
use crate::base::panics::catch;

/// A request as a letter holds it.
#[derive(Debug)]
pub(in crate::dead_letter) struct Encoded {
    pub(in crate::dead_letter) value: Value,
    /// Whether reading `value` back gives the same request.
    pub(in crate::dead_letter) exact: bool,
}

/// Writes `request` as JSON. A panic in its `Serialize` or `Deserialize` does not reach the caller.
///
/// # Errors
/// When its `Serialize` fails or panics.
pub(in crate::dead_letter) fn encode<Req>(request: &Req) -> Result<Encoded, String>
where
    Req: Serialize + DeserializeOwned,
{
    let encoded = catch(|| match digest(request) {
        Ok(digest) => Ok(exact(request, digest)),
        Err(EncodeError::TooDeep) => Ok(None),
        Err(EncodeError::Custom(error)) => Err(error),
    });
    match encoded.unwrap_or_else(|_| Err(PANICKED.to_owned()))? {
        Some(value) => Ok(Encoded { value, exact: true }),
        None => {
            let value = catch(|| readable(request).map_err(|error| error.to_string()));
            Ok(Encoded { value: value.unwrap_or_else(|_| Err(PANICKED.to_owned()))?, exact: false })
        }
    }
}

const PANICKED: &str = "its Serialize panicked";

/// The JSON of `request`, whose digest is `before`, if a request with the same digest can be read from it.
fn exact<Req: Serialize + DeserializeOwned>(request: &Req, before: u64) -> Option<Value> {
    let value = serde_json::to_value(request).ok()?;
    // As a redrive reads it.
    let read = || Req::deserialize(&value).ok().and_then(|again| digest(&again).ok());
    let again = catch(read).ok()??;
    (again == before).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::Deserialize;
    use serde_json::json;

    use super::super::depth::LEVELS;
    use super::*;

    #[track_caller]
    fn exact<T: Serialize + DeserializeOwned>(request: &T) -> Value {
        let Encoded { value, exact } = encode(request).unwrap();
        assert!(exact, "{value}");
        // As the store returns it.
        let text = serde_json::to_string(&value).unwrap();
        let again: T = T::deserialize(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
        assert_eq!(digest(&again).unwrap(), digest(request).unwrap(), "{text}");
        value
    }

    #[track_caller]
    fn evidence<T: Serialize + DeserializeOwned>(request: &T) -> Value {
        let Encoded { value, exact } = encode(request).unwrap();
        assert!(!exact, "{value}");
        value
    }

    #[derive(Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<u64, u8>,
    }

    #[derive(Serialize, Deserialize)]
    struct Nested(Vec<Nested>);

    #[derive(Serialize, Deserialize)]
    struct List {
        next: Option<Box<List>>,
    }

    #[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Key {
        a: u8,
    }

    #[derive(Serialize, Deserialize)]
    enum Kind {
        Unit,
        New(Option<f64>),
        Two(u8, f32),
        Named { id: u128 },
    }

    fn nested(levels: usize) -> Nested {
        (1..levels).fold(Nested(Vec::new()), |inner, _| Nested(vec![inner]))
    }

    #[test]
    fn values_that_json_holds_are_exact() {
        exact(&(1.0_f64, -0.0_f64, f64::MIN_POSITIVE, 5e-324_f64, f64::MAX, 0.1_f32, f32::MAX));
        exact(&(u64::MAX, i64::MIN, u128::from(u64::MAX), i128::from(i64::MIN), 'é', "a\0b".to_owned(), ()));
        exact(&[Some(1_u8), None]);
        exact(&BTreeMap::from([(i128::from(i64::MIN), true), (7, false)]));
        exact(&[Kind::Unit, Kind::New(None), Kind::New(Some(0.1)), Kind::Two(1, 0.1), Kind::Named { id: 7 }]);
        exact(&json!({"a": [1, 2.5, null, {"b": "c"}]}));
        assert_eq!(exact(&nested(LEVELS.into())).to_string().len(), 2 * usize::from(LEVELS));
    }

    #[test]
    fn the_order_of_a_hash_set_does_not_matter() {
        exact(&(0..200).map(|n| (n, n.to_string())).collect::<HashMap<u32, String>>());
        exact(&(0..200).map(|n| vec![n]).collect::<HashSet<Vec<u32>>>());
        assert_ne!(digest(&(1, 2)).unwrap(), digest(&(2, 1)).unwrap());
    }

    #[test]
    fn values_that_json_loses_are_readable_evidence() {
        assert_eq!(evidence(&Some(f64::INFINITY)), json!("inf"));
        assert_eq!(evidence(&f64::NAN), json!("NaN"));
        assert_eq!(evidence(&[Some(Some(1)), Some(None), None]), json!([1, {"Some": null}, null]));
        assert_eq!(evidence(&Some(())), json!({"Some": null}));
        assert_eq!(evidence(&Kind::Named { id: u128::MAX }), json!({"Named": {"id": u128::MAX.to_string()}}));
        assert_eq!(evidence(&Kind::New(Some(f64::NEG_INFINITY))), json!({"New": "-inf"}));
        assert_eq!(
            evidence(&BTreeMap::from([(Key { a: 1 }, "x")].map(|(key, x)| (key, x.to_owned())))),
            json!({"{\"a\":1}": "x"})
        );
        assert_eq!(evidence(&Flat { rest: BTreeMap::from([(7, 1)]) }), json!({"7": 1}));
    }

    #[test]
    fn deep_values_do_not_overflow_the_stack() {
        assert!(evidence(&nested(usize::from(LEVELS) + 1)).to_string().contains("levels"));
        assert!(evidence(&nested(5_000)).to_string().len() < 1_000);
        let list = (0..5_000).fold(List { next: None }, |list, _| List { next: Some(Box::new(list)) });
        evidence(&list);
    }

    #[test]
    fn a_type_that_reads_another_form_than_it_writes_is_evidence() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Renamed {
            #[serde(rename(serialize = "a", deserialize = "b"))]
            a: u8,
        }
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(untagged)]
        enum First {
            Float(f64),
            Whole(u8),
        }
        assert_eq!(evidence(&Renamed { a: 1 }), json!({"a": 1}));
        assert_eq!(evidence(&First::Whole(1)), json!(1));
        exact(&First::Float(1.0));
    }

    #[test]
    fn a_panic_of_deserialize_does_not_reach_the_caller() {
        #[derive(Serialize)]
        struct Panics;
        impl<'de> Deserialize<'de> for Panics {
            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                panic!("on purpose")
            }
        }
        assert_eq!(evidence(&Panics), Value::Null);
    }
}
