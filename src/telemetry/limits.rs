//! What one span may hold.

use opentelemetry::KeyValue;
use serde::{Deserialize, Serialize};

use super::variables::Variables;
use crate::base::cut::cut;
use crate::base::error::ConfigError;

/// What one span may hold; what comes on top is dropped and counted on the span.
///
/// A span can live for days. Without limits each event and attribute would stay in memory for as long.
/// `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT`,
/// `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` and their general forms
/// `OTEL_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` win over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpanLimits {
    /// Attributes of a span. 128.
    pub attributes: usize,
    /// Events of a span. 128.
    pub events: usize,
    /// Links of a span. 128.
    pub links: usize,
    /// Attributes of an event. 128.
    pub event_attributes: usize,
    /// Attributes of a link. 128.
    pub link_attributes: usize,
    /// Bytes of a text: an attribute's value, a name, a message. 4,096.
    pub value_length: usize,
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self {
            attributes: 128,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
            value_length: 4_096,
        }
    }
}

impl SpanLimits {
    pub(super) fn with_variables(mut self, variables: &Variables) -> Result<Self, ConfigError> {
        let general = variables.number("OTEL_ATTRIBUTE_COUNT_LIMIT")?;
        let length = variables.number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")?;
        for (setting, name, general) in [
            (&mut self.attributes, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", general),
            (&mut self.events, "OTEL_SPAN_EVENT_COUNT_LIMIT", None),
            (&mut self.links, "OTEL_SPAN_LINK_COUNT_LIMIT", None),
            (&mut self.event_attributes, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", general),
            (&mut self.link_attributes, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", general),
            (&mut self.value_length, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        ] {
            if let Some(value) = variables.number(name)?.or(general) {
                *setting = value;
            }
        }
        Ok(self)
    }

    /// `text` as far as it may reach.
    pub(super) fn cut<'a>(&self, text: &'a str) -> &'a str {
        cut(text, self.value_length)
    }

    /// Puts `new` into `attributes`: in the place of an older one of that name, else at the end if there is
    /// room, else not at all.
    pub(super) fn add(&self, attributes: &mut Vec<KeyValue>, dropped: &mut u32, new: KeyValue) {
        if let Some(old) = attributes.iter_mut().find(|old| old.key == new.key) {
            old.value = new.value;
        } else if attributes.len() < self.attributes {
            attributes.push(new);
        } else {
            *dropped = dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let limits = SpanLimits { value_length: 4, ..SpanLimits::default() };
        assert_eq!(limits.cut("äöü"), "äö");
        assert_eq!(limits.cut("aäö"), "aä");
        assert_eq!(limits.cut("aaaä"), "aaa");
        assert_eq!(limits.cut("ab"), "ab");
    }

    #[test]
    fn the_last_value_of_a_name_stands_and_the_first_names_do() {
        let limits = SpanLimits { attributes: 2, ..SpanLimits::default() };
        let (mut attributes, mut dropped) = (Vec::new(), 0);
        for (key, value) in [("a", 1), ("b", 1), ("c", 1), ("a", 2)] {
            limits.add(&mut attributes, &mut dropped, KeyValue::new(key, value));
        }
        assert_eq!(attributes, [KeyValue::new("a", 2), KeyValue::new("b", 1)]);
        assert_eq!(dropped, 1);
    }
}
