//! Makes typed settings of a tree.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde_path_to_error::{Segment, Track};

use super::node::{Node, Value};
use super::path::{KeyPath, Step};
use super::refusal::Refusal;

/// Reads a tree as `T`. The error has the path at which it failed.
pub(in crate::hub::config) fn read<T: for<'de> Deserialize<'de>>(
    node: &Node,
) -> Result<T, (KeyPath, Refusal)> {
    let mut track = Track::new();
    T::deserialize(serde_path_to_error::Deserializer::new(Reader(node), &mut track)).map_err(|refusal| {
        let path = track.path();
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
            Segment::Unknown => None,
        });
        (KeyPath(steps.collect()), refusal)
    })
}

/// Reads one node. The texts of variables and arguments become what the setting takes.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'de> IntoDeserializer<'de, Refusal> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Reader<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.0.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Integer(_) => Unexpected::Other("integer"),
            Value::Float(value) => Unexpected::Float(*value),
            Value::String(text) | Value::Text(text) | Value::Secret(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }

    fn integer<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, Refusal> {
        if let Ok(small) = i64::try_from(value) {
            return visitor.visit_i64(small);
        }
        match u64::try_from(value) {
            Ok(large) => visitor.visit_u64(large),
            Err(_) => Err(Refusal::invalid_value(Unexpected::Other("integer"), &visitor)),
        }
    }

    /// A text as a number, if it is one.
    fn number<'de, V: Visitor<'de>>(&self, text: &str, visitor: V) -> Result<V::Value, Refusal> {
        if let Ok(value) = text.parse::<i128>() {
            return Self::integer(value, visitor);
        }
        match text.parse::<f64>() {
            Ok(value) => visitor.visit_f64(value),
            Err(_) => Err(Refusal::invalid_type(self.unexpected(), &visitor)),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            match self.0.as_text() {
                Some(text) if !matches!(self.0.value, Value::String(_)) => self.number(text, visitor),
                _ => self.deserialize_any(visitor),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Refusal;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => Self::integer(*value, visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::Text(text) | Value::Secret(text) => match text.as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                text if text.parse::<f64>().is_ok_and(f64::is_finite) => self.number(text, visitor),
                text => visitor.visit_str(text),
            },
            Value::Array(items) => {
                let items = items.iter().map(Reader);
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Table(table) => {
                let entries = table.iter().map(|(key, node)| (key.as_str(), Reader(node)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.value {
            Value::Text(text) | Value::Secret(text) => match text.as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => Err(Refusal::invalid_type(self.unexpected(), &visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0.as_text() {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    /// `false` turns off what is on by default, because TOML has no `null`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.value {
            Value::Null | Value::Bool(false) => visitor.visit_none(),
            Value::Text(text) if text == "false" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        if let Some(text) = self.0.as_text() {
            return visitor.visit_enum(StringDeserializer::new(text.to_owned()));
        }
        let Some(table) = self.0.as_table() else {
            return Err(Refusal::invalid_type(self.unexpected(), &visitor));
        };
        // A higher layer may have made another choice than the layer below it.
        let highest = table.values().map(|node| node.source.rank()).max();
        let chosen: Vec<_> = table.iter().filter(|(_, node)| Some(node.source.rank()) == highest).collect();
        let [(key, node)] = chosen[..] else {
            return Err(Refusal::custom("a table with one key is allowed here, the name of the choice"));
        };
        let entries = [(key.as_str(), Reader(node))].into_iter();
        visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(entries)))
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct seq tuple tuple_struct map struct ignored_any
    }
}
