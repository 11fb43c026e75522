//! The limits of a span.

use opentelemetry::KeyValue;
use serde::{Deserialize, Serialize};

use super::variables::Variables;
use crate::base::cut::cut;
use crate::base::error::ConfigError;

/// The limits of a span. Items beyond a limit are dropped and counted on the span.
///
/// To set them in code, use [`TelemetryBuilder::configure`](super::TelemetryBuilder::configure):
/// `.configure(|settings| settings.limits.events = 32)`.
///
/// A span may be open for days, and its events and attributes stay in memory until it closes.
///
/// `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT`,
/// `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` and their general forms
/// `OTEL_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` win over these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpanLimits {
    /// Maximum number of attributes of a span. Default: 128.
    pub attributes: usize,
    /// Maximum number of events of a span. Default: 128.
    pub events: usize,
    /// Maximum number of links of a span. Default: 128.
    pub links: usize,
    /// Maximum number of attributes of an event. Default: 128.
    pub event_attributes: usize,
    /// Maximum number of attributes of a link. Default: 128.
    pub link_attributes: usize,
    /// Maximum length of a text in bytes: the value of an attribute, a name or a message. Default: 4,096.
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

    /// `text`, truncated to `value_length`.
    pub(super) fn cut<'a>(&self, text: &'a str) -> &'a str {
        cut(text, self.value_length)
    }

    /// Adds `new` to `attributes`. It replaces an attribute with the same name. Beyond the limit it is dropped and counted.
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
    fn texts_are_truncated_between_characters() {
        let limits = SpanLimits { value_length: 4, ..SpanLimits::default() };
        assert_eq!(limits.cut("äöü"), "äö");
        assert_eq!(limits.cut("aäö"), "aä");
        assert_eq!(limits.cut("aaaä"), "aaa");
        assert_eq!(limits.cut("ab"), "ab");
    }

    #[test]
    fn the_last_value_of_a_name_is_kept_and_names_beyond_the_limit_are_dropped() {
        let limits = SpanLimits { attributes: 2, ..SpanLimits::default() };
        let (mut attributes, mut dropped) = (Vec::new(), 0);
        for (key, value) in [("a", 1), ("b", 1), ("c", 1), ("a", 2)] {
            limits.add(&mut attributes, &mut dropped, KeyValue::new(key, value));
        }
        assert_eq!(attributes, [KeyValue::new("a", 2), KeyValue::new("b", 1)]);
        assert_eq!(dropped, 1);
    }
}
