//! Files in TOML, with the line of each value.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{Node, Source, Value};

/// Parses a file. All faults of its syntax are reported, duplicate keys among them.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, Vec<ConfigFault>> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let name: Arc<str> = name.into();
    if errors.is_empty() {
        let source = |at: usize| Source::File { name: name.clone(), line: lines.at(at).0 };
        return self::table(table.get_ref(), source(0), &source)
            .map_err(|(at, why)| vec![ConfigFault::of_source(&source(at), why)]);
    }
    // An error at one place makes others at the same line.
    let mut faults: Vec<(usize, ConfigFault)> = Vec::new();
    for error in errors {
        let (line, column) = lines.at(error.span().map_or(0, |span| span.start));
        if faults.last().is_some_and(|(last, _)| *last == line) {
            continue;
        }
        let source = Source::File { name: name.clone(), line };
        let message = format!("column {column}: {}", message(&error));
        faults.push((line, ConfigFault::of_source(&source, message)));
    }
    Err(faults.into_iter().map(|(_, fault)| fault).collect())
}

/// Parses one value, such as a list.
pub(super) fn value(text: &str, source: &Source) -> Result<Value, String> {
    let value = DeValue::parse(text).map_err(|error| message(&error))?;
    node(&value, &|_| source.clone()).map(|node| node.value).map_err(|(_, why)| why)
}

fn message(error: &Error) -> String {
    error.message().trim().to_owned()
}

type Fault = (usize, String);

fn table(table: &DeTable<'_>, source: Source, sources: &impl Fn(usize) -> Source) -> Result<Node, Fault> {
    let entries = table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), node(value, sources)?)));
    Ok(Node::new(Value::Table(entries.collect::<Result<_, Fault>>()?), source))
}

fn node(value: &Spanned<DeValue<'_>>, sources: &impl Fn(usize) -> Source) -> Result<Node, Fault> {
    let at = value.span().start;
    let value = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => return Err((at, format!("the number {integer} is too large"))),
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(float) => Value::Float(float),
            Err(_) => return Err((at, format!("{float} is no number"))),
        },
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| node(item, sources)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => return table(inner, sources(at), sources),
    };
    Ok(Node::new(value, sources(at)))
}

/// The starts of the lines of a text.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The line and the column at a byte, both from 1.
    fn at(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        (line, column)
    }
}
