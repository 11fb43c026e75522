//! Files in JSON, with the line of each value.
//!
//! `serde_json` does not tell where a value is. It reads a reader byte by byte, so the reader knows: when a value is handed
//! over, its last byte was read last, or the byte after a number.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{Node, Source, Value};

/// Parses a file. A fault of its syntax is the only one; duplicate keys are all reported.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, Vec<ConfigFault>> {
    let line = Cell::new(1);
    let at = At { name: name.into(), line: &line, faults: RefCell::new(Vec::new()) };
    let mut reader =
        serde_json::Deserializer::from_reader(Bytes { left: text.as_bytes(), after: 0, line: &line });
    let parsed = Seed(&at).deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    let mut faults = at.faults.take();
    match parsed {
        Ok(node) if faults.is_empty() && node.as_table().is_some() => Ok(node),
        Ok(node) => {
            if node.as_table().is_none() {
                faults.push(ConfigFault::of_source(&node.source, "the file must hold one JSON object"));
            }
            Err(faults)
        }
        Err(error) => {
            let source = Source::File { name: name.into(), line: error.line().max(1) };
            let message = error.to_string();
            let why = message.split(" at line ").next().unwrap_or_default();
            faults.push(ConfigFault::of_source(&source, format!("column {}: {why}", error.column())));
            Err(faults)
        }
    }
}

/// Gives one byte at a time, and counts lines.
struct Bytes<'a> {
    left: &'a [u8],
    /// 1 if the last byte ended a line.
    after: usize,
    line: &'a Cell<usize>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(slot), Some((first, rest))) = (buffer.first_mut(), self.left.split_first()) else {
            return Ok(0);
        };
        *slot = *first;
        self.line.set(self.line.get() + self.after);
        self.after = usize::from(*first == b'\n');
        self.left = rest;
        Ok(1)
    }
}

struct At<'a> {
    name: Arc<str>,
    line: &'a Cell<usize>,
    faults: RefCell<Vec<ConfigFault>>,
}

impl At<'_> {
    fn source(&self) -> Source {
        Source::File { name: self.name.clone(), line: self.line.get() }
    }
}

#[derive(Clone, Copy)]
struct Seed<'a>(&'a At<'a>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::new(Value::Null, self.0.source()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::new(Value::Bool(value), self.0.source()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::new(Value::Integer(value.into()), self.0.source()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::new(Value::Integer(value.into()), self.0.source()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        if !value.is_finite() {
            return Err(E::custom("number out of range"));
        }
        Ok(Node::new(Value::Float(value), self.0.source()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::new(Value::String(text.to_owned()), self.0.source()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let source = self.0.source();
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(self)? {
            nodes.push(node);
        }
        Ok(Node::new(Value::Array(nodes), source))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let source = self.0.source();
        let mut table = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let at = self.0.source();
            if table.insert(key.clone(), entries.next_value_seed(self)?).is_some() {
                let fault =
                    ConfigFault::of_source(&at, format!("the key `{key}` stands twice in its object"));
                self.0.faults.borrow_mut().push(fault);
            }
        }
        if self.0.faults.borrow().len() > 1_000 {
            return Err(A::Error::custom("too many duplicate keys"));
        }
        Ok(Node::new(Value::Table(table), source))
    }
}
