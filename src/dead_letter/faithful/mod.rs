//! Whether a plain request is the same when it comes back.
//!
//! People read letters, and secrets are found in them by name, so requests are kept as JSON. JSON holds less than serde
//! tells: an infinite number in an `Option` comes back as `None`, and so does `Some(None)`; the keys of a flattened map
//! of numbers cannot be read again; numbers of 128 bits and keys that are structs cannot be written. So each request is
//! read back when it is parked, and both say to serde what they are: where that differs, the letter is evidence of what
//! happened and no redrive sends it.

mod digest;
mod readable;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Serialize, ser};
use serde_json::Value;

use self::digest::digest;
use self::readable::readable;
use crate::base::panics::catch;

/// Arrays and objects in each other. `serde_json` reads 127, of which a letter needs two around its request.
const LEVELS: u16 = 120;

/// Values in each other, those that JSON does not show among them, such as `Some` and newtypes: the stack must hold them.
const STEPS: u16 = 500;

/// A request as a letter keeps it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) value: Value,
    /// Whether the request can be made from it again.
    pub(super) faithful: bool,
}

/// `request` as JSON. Serde's traits of it are code of others: where they panic, the caller still gets its result.
///
/// # Errors
/// When its `Serialize` fails or panics.
pub(super) fn write<Req: Serialize + DeserializeOwned>(request: &Req) -> Result<Written, String> {
    let written = catch(|| match digest(request) {
        Ok(said) => Ok(exact(request, said)),
        Err(Stop::TooDeep) => Ok(None),
        Err(Stop::Said(error)) => Err(error),
    });
    match written.unwrap_or_else(|_| Err(PANICKED.to_owned()))? {
        Some(value) => Ok(Written { value, faithful: true }),
        None => {
            let value = catch(|| readable(request).map_err(|stop| stop.to_string()));
            Ok(Written { value: value.unwrap_or_else(|_| Err(PANICKED.to_owned()))?, faithful: false })
        }
    }
}

const PANICKED: &str = "its Serialize panicked";

/// The JSON of `request`, if what is read from it says the same as `request` did.
fn exact<Req: Serialize + DeserializeOwned>(request: &Req, said: u64) -> Option<Value> {
    let value = serde_json::to_value(request).ok()?;
    // A redrive reads it in the same way.
    let read = || Req::deserialize(&value).ok().and_then(|again| digest(&again).ok());
    let again = catch(read).ok()??;
    (again == said).then_some(value)
}

/// How much deeper a value may go.
#[derive(Clone, Copy)]
struct Room {
    levels: u16,
    steps: u16,
}

impl Room {
    const ALL: Self = Self { levels: LEVELS, steps: STEPS };

    /// Inside of an array or an object.
    fn level(self) -> Result<Self, Stop> {
        let levels = self.levels.checked_sub(1).ok_or(Stop::TooDeep)?;
        Ok(Self { levels, ..self.step()? })
    }

    /// Inside of something that JSON does not show.
    fn step(self) -> Result<Self, Stop> {
        let steps = self.steps.checked_sub(1).ok_or(Stop::TooDeep)?;
        Ok(Self { steps, ..self })
    }
}

/// Why a value was not looked at to its end.
#[derive(Debug)]
enum Stop {
    TooDeep,
    /// Its own code said so.
    Said(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "more than {LEVELS} levels"),
            Self::Said(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(error: T) -> Self {
        Self::Said(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn kept<T: Serialize + DeserializeOwned>(request: &T) -> Value {
        let Written { value, faithful } = write(request).unwrap();
        assert!(faithful, "{value}");
        // As the store gives it back.
        let text = serde_json::to_string(&value).unwrap();
        let again: T = T::deserialize(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
        assert_eq!(digest(&again).unwrap(), digest(request).unwrap(), "{text}");
        value
    }

    #[track_caller]
    fn evidence<T: Serialize + DeserializeOwned>(request: &T) -> Value {
        let Written { value, faithful } = write(request).unwrap();
        assert!(!faithful, "{value}");
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
    fn what_json_holds_is_kept() {
        kept(&(1.0_f64, -0.0_f64, f64::MIN_POSITIVE, 5e-324_f64, f64::MAX, 0.1_f32, f32::MAX));
        kept(&(u64::MAX, i64::MIN, u128::from(u64::MAX), i128::from(i64::MIN), 'é', "a\0b".to_owned(), ()));
        kept(&[Some(1_u8), None]);
        kept(&BTreeMap::from([(i128::from(i64::MIN), true), (7, false)]));
        kept(&[Kind::Unit, Kind::New(None), Kind::New(Some(0.1)), Kind::Two(1, 0.1), Kind::Named { id: 7 }]);
        kept(&json!({"a": [1, 2.5, null, {"b": "c"}]}));
        assert_eq!(kept(&nested(LEVELS.into())).to_string().len(), 2 * usize::from(LEVELS));
    }

    #[test]
    fn an_order_that_a_type_does_not_keep_is_no_difference() {
        kept(&(0..200).map(|n| (n, n.to_string())).collect::<HashMap<u32, String>>());
        kept(&(0..200).map(|n| vec![n]).collect::<HashSet<Vec<u32>>>());
        assert_ne!(digest(&(1, 2)).unwrap(), digest(&(2, 1)).unwrap());
    }

    #[test]
    fn what_json_loses_is_evidence_that_people_can_read() {
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
    fn depth_costs_no_stack() {
        assert!(evidence(&nested(usize::from(LEVELS) + 1)).to_string().contains("levels"));
        assert!(evidence(&nested(5_000)).to_string().len() < 1_000);
        let list = (0..5_000).fold(List { next: None }, |list, _| List { next: Some(Box::new(list)) });
        evidence(&list);
    }

    #[test]
    fn a_type_that_reads_another_thing_than_it_writes_is_evidence() {
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
        kept(&First::Float(1.0));
    }

    #[test]
    fn a_panic_of_deserialize_is_no_panic_of_the_caller() {
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
