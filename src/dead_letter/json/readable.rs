//! Any value as JSON for people. It is not read back.

use serde::{Serialize, ser};
use serde_json::{Map, Value};

use super::depth::{DepthLeft, EncodeError};

/// Writes `value` as JSON. Numbers that JSON does not have become text, and parts that are nested too deep are left out.
pub(super) fn readable<T: Serialize + ?Sized>(value: &T) -> Result<Value, EncodeError> {
    encoded(DepthLeft::ALL, value)
}

fn encoded<T: Serialize + ?Sized>(depth: DepthLeft, value: &T) -> Result<Value, EncodeError> {
    match value.serialize(Readable(depth)) {
        Err(error @ EncodeError::TooDeep) => Ok(Value::String(format!("[{error}]"))),
        encoded => encoded,
    }
}

#[derive(Clone, Copy)]
struct Readable(DepthLeft);

macro_rules! plain {
    ($($method:ident($kind:ty);)+) => {$(
        fn $method(self, value: $kind) -> Result<Value, EncodeError> {
            Ok(value.into())
        }
    )+};
}

/// The value of an enum.
fn variant(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

impl ser::Serializer for Readable {
    type Ok = Value;
    type Error = EncodeError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    plain! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }

    fn serialize_i128(self, value: i128) -> Result<Value, EncodeError> {
        Ok(i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_u128(self, value: u128) -> Result<Value, EncodeError> {
        Ok(u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, EncodeError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value, EncodeError> {
        Ok(if value.is_finite() { value.into() } else { value.to_string().into() })
    }

    fn serialize_char(self, value: char) -> Result<Value, EncodeError> {
        Ok(value.to_string().into())
    }

    fn serialize_none(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_unit(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, EncodeError> {
        let value = value.serialize(Self(self.0.step()?))?;
        // `Some(())` and `Some(None)` are not `None`.
        Ok(if value.is_null() { variant("Some", value) } else { value })
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<Value, EncodeError> {
        Ok(name.into())
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<Value, EncodeError>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(Self(self.0.step()?))
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError>
    where
        T: Serialize + ?Sized,
    {
        Ok(variant(name, encoded(self.0.level()?, value)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, EncodeError> {
        Ok(Items { depth: self.0.level()?, of: None, items: Vec::new() })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, EncodeError> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, EncodeError> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items, EncodeError> {
        Ok(Items { depth: self.0.level()?.level()?, of: Some(name), items: Vec::new() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, EncodeError> {
        Ok(Fields { depth: self.0.level()?, of: None, fields: Map::new(), key: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, EncodeError> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Fields, EncodeError> {
        let depth = self.0.level()?.level()?;
        Ok(Fields { depth, of: Some(name), fields: Map::new(), key: String::new() })
    }
}

struct Items {
    depth: DepthLeft,
    /// The enum variant that holds them.
    of: Option<&'static str>,
    items: Vec<Value>,
}

macro_rules! items {
    ($($of:ident::$method:ident;)+) => {$(
        impl ser::$of for Items {
            type Ok = Value;
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.items.push(encoded(self.depth, value)?);
                Ok(())
            }

            fn end(self) -> Result<Value, EncodeError> {
                let items = Value::Array(self.items);
                Ok(match self.of {
                    Some(name) => variant(name, items),
                    None => items,
                })
            }
        }
    )+};
}

items! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

struct Fields {
    depth: DepthLeft,
    /// The enum variant that holds them.
    of: Option<&'static str>,
    fields: Map<String, Value>,
    key: String,
}

impl Fields {
    fn add<T: Serialize + ?Sized>(&mut self, mut key: String, value: &T) -> Result<(), EncodeError> {
        while self.fields.contains_key(&key) {
            key.push('\'');
        }
        self.fields.insert(key, encoded(self.depth, value)?);
        Ok(())
    }

    fn end(self) -> Value {
        let fields = Value::Object(self.fields);
        match self.of {
            Some(name) => variant(name, fields),
            None => fields,
        }
    }
}

impl ser::SerializeMap for Fields {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key = match encoded(self.depth, key)? {
            Value::String(key) => key,
            key => key.to_string(),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = std::mem::take(&mut self.key);
        self.add(key, value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(Self::end(self))
    }
}

macro_rules! fields {
    ($($of:ident)+) => {$(
        impl ser::$of for Fields {
            type Ok = Value;
            type Error = EncodeError;

            fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError>
            where
                T: Serialize + ?Sized,
            {
                self.add(name.to_owned(), value)
            }

            fn end(self) -> Result<Value, EncodeError> {
                Ok(Self::end(self))
            }
        }
    )+};
}

fields! { SerializeStruct SerializeStructVariant }
