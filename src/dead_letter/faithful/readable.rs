//! A value as JSON for people, whatever it holds: nothing is made of it again.

use serde::{Serialize, ser};
use serde_json::{Map, Value};

use super::{Room, Stop};

/// `value` as JSON, in which numbers that JSON has not are text, and what lies too deep is left out.
pub(super) fn readable<T: Serialize + ?Sized>(value: &T) -> Result<Value, Stop> {
    written(Room::ALL, value)
}

fn written<T: Serialize + ?Sized>(room: Room, value: &T) -> Result<Value, Stop> {
    match value.serialize(Readable(room)) {
        Err(stop @ Stop::TooDeep) => Ok(Value::String(format!("[{stop}]"))),
        written => written,
    }
}

#[derive(Clone, Copy)]
struct Readable(Room);

macro_rules! plain {
    ($($method:ident($kind:ty);)+) => {$(
        fn $method(self, value: $kind) -> Result<Value, Stop> {
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
    type Error = Stop;
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

    fn serialize_i128(self, value: i128) -> Result<Value, Stop> {
        Ok(i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_u128(self, value: u128) -> Result<Value, Stop> {
        Ok(u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Stop> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Stop> {
        Ok(if value.is_finite() { value.into() } else { value.to_string().into() })
    }

    fn serialize_char(self, value: char) -> Result<Value, Stop> {
        Ok(value.to_string().into())
    }

    fn serialize_none(self) -> Result<Value, Stop> {
        Ok(Value::Null)
    }

    fn serialize_unit(self) -> Result<Value, Stop> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Stop> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Stop> {
        let value = value.serialize(Self(self.0.step()?))?;
        // It is not nothing.
        Ok(if value.is_null() { variant("Some", value) } else { value })
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Value, Stop> {
        Ok(name.into())
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<Value, Stop>
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
    ) -> Result<Value, Stop>
    where
        T: Serialize + ?Sized,
    {
        Ok(variant(name, written(self.0.level()?, value)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Stop> {
        Ok(Items { room: self.0.level()?, of: None, items: Vec::new() })
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Stop> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, Stop> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items, Stop> {
        Ok(Items { room: self.0.level()?.level()?, of: Some(name), items: Vec::new() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Stop> {
        Ok(Fields { room: self.0.level()?, of: None, fields: Map::new(), key: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Stop> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Fields, Stop> {
        let room = self.0.level()?.level()?;
        Ok(Fields { room, of: Some(name), fields: Map::new(), key: String::new() })
    }
}

struct Items {
    room: Room,
    /// The variant that they belong to.
    of: Option<&'static str>,
    items: Vec<Value>,
}

macro_rules! items {
    ($($of:ident::$method:ident;)+) => {$(
        impl ser::$of for Items {
            type Ok = Value;
            type Error = Stop;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
                self.items.push(written(self.room, value)?);
                Ok(())
            }

            fn end(self) -> Result<Value, Stop> {
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
    room: Room,
    /// The variant that they belong to.
    of: Option<&'static str>,
    fields: Map<String, Value>,
    key: String,
}

impl Fields {
    fn add<T: Serialize + ?Sized>(&mut self, mut key: String, value: &T) -> Result<(), Stop> {
        while self.fields.contains_key(&key) {
            key.push('\'');
        }
        self.fields.insert(key, written(self.room, value)?);
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
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        self.key = match written(self.room, key)? {
            Value::String(key) => key,
            key => key.to_string(),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        let key = std::mem::take(&mut self.key);
        self.add(key, value)
    }

    fn end(self) -> Result<Value, Stop> {
        Ok(Self::end(self))
    }
}

macro_rules! fields {
    ($($of:ident)+) => {$(
        impl ser::$of for Fields {
            type Ok = Value;
            type Error = Stop;

            fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), Stop>
            where
                T: Serialize + ?Sized,
            {
                self.add(name.to_owned(), value)
            }

            fn end(self) -> Result<Value, Stop> {
                Ok(Self::end(self))
            }
        }
    )+};
}

fields! { SerializeStruct SerializeStructVariant }
