//! The correlation id: one id for a request and everything that it causes.
//!
//! A trace id changes behind queues and batches, and callers do not know it, so support cannot ask a customer for it. The
//! correlation id can be chosen by the caller. It is on each span below, in the baggage, in the response, and on every call
//! to others.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::{Context, StringValue};
use uuid::Uuid;

use super::secrets::Secrets;
use crate::base::error::ConfigError;
use crate::base::unique::unique;

/// The correlation id of a request.
///
/// The layers of servers give each request one if
/// [`correlation`](super::ServerSpanLayer::correlation) is set: it is among the extensions of the request. For other work,
/// create one and attach it:
/// ```
/// use campanile::telemetry::CorrelationId;
/// use opentelemetry::Context;
///
/// let id: CorrelationId = "order-17".parse()?;
/// let attached = id.within(&Context::current()).attach();
/// // Spans that are made here have it, and so does each call through `http_client_layer`.
/// assert_eq!(CorrelationId::current(), Some(id));
/// drop(attached);
/// assert_eq!(CorrelationId::current(), None);
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(Arc<str>);

/// Its key in baggage.
const KEY: &str = "correlation.id";

/// Its field name in spans and logs.
pub(super) const FIELD: &str = "correlation_id";

impl CorrelationId {
    /// The maximum length of an id, in bytes.
    pub(super) const MAX_LENGTH: usize = 128;

    /// Creates a new id: a UUID of version 7, so that ids sort by time.
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = unique().as_hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `context` with this id, also in its baggage as `correlation.id`.
    #[must_use]
    pub fn within(&self, context: &Context) -> Context {
        let context = context.with_value(self.clone());
        let baggage = context.baggage();
        if baggage.get(KEY).is_some_and(|known| known.as_str() == self.as_str()) {
            return context;
        }
        let own = KeyValueMetadata::new(KEY, Arc::clone(&self.0), "");
        if baggage.is_empty() {
            return context.with_baggage([own]);
        }
        let others = baggage.iter().filter(|(key, _)| key.as_str() != KEY).map(|(key, (value, metadata))| {
            KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
        });
        // Added last: if the baggage is full, earlier entries win.
        let baggage: Vec<_> = others.chain([own]).collect();
        context.with_baggage(baggage)
    }

    fn is_valid(text: &str) -> bool {
        (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// The id of `context`, its own or that in its baggage.
pub(super) fn of(context: &Context) -> Option<&str> {
    match context.get::<CorrelationId>() {
        Some(id) => Some(id.as_str()),
        None => in_baggage(context).map(StringValue::as_str),
    }
}

/// The id of `context`, owned.
pub(super) fn id_of(context: &Context) -> Option<CorrelationId> {
    of(context).map(|id| CorrelationId(id.into()))
}

/// The id as the value of an attribute, without secrets that a caller may have put there.
pub(super) fn shown(context: &Context, secrets: &Secrets) -> Option<StringValue> {
    let id = match context.get::<CorrelationId>() {
        Some(id) => StringValue::from(Arc::clone(&id.0)),
        None => in_baggage(context)?.clone(),
    };
    let shown = secrets.text(FIELD, id.as_str());
    if shown == id.as_str() {
        return Some(id);
    }
    Some(shown.into_owned().into())
}

fn in_baggage(context: &Context) -> Option<&StringValue> {
    // Any caller may have written it.
    context.baggage().get(KEY).filter(|id| CorrelationId::is_valid(id.as_str()))
}

impl FromStr for CorrelationId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        ConfigError::check(
            Self::is_valid(text),
            "correlation id",
            text,
            "1 to 128 visible ASCII characters",
        )?;
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for CorrelationId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CorrelationId").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn an_id_is_short_visible_ascii() {
        for good in ["a", "order-17", &"x".repeat(128), "{\"}~!"] {
            assert_eq!(good.parse::<CorrelationId>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", "a\n", "\u{7f}", &"x".repeat(129)] {
            let error = bad.parse::<CorrelationId>().unwrap_err();
            assert_eq!(error.setting(), "correlation id", "{bad:?}");
        }
    }

    #[test]
    fn generated_ids_are_valid_and_sort_by_time() {
        let ids: Vec<_> = (0..100).map(|_| CorrelationId::generate()).collect();
        assert!(ids.iter().all(|id| CorrelationId::is_valid(id.as_str()) && id.as_str().len() == 36));
        assert!(ids.iter().map(CorrelationId::as_str).is_sorted());
    }

    #[test]
    fn a_context_keeps_its_baggage_and_has_one_id() {
        let id = |text: &str| text.parse::<CorrelationId>().unwrap();
        let context = Context::new().with_baggage([KeyValue::new("tenant", "blue")]);
        assert_eq!(of(&context), None);
        let context = id("second").within(&id("first").within(&context));
        assert_eq!(of(&context), Some("second"));
        let mut baggage: Vec<_> =
            context.baggage().iter().map(|(key, (value, _))| (key.to_string(), value.to_string())).collect();
        baggage.sort();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(baggage, [pair("correlation.id", "second"), pair("tenant", "blue")]);
        // Another service may send any text.
        let from =
            |value: &'static str| Context::new().with_baggage([KeyValue::new("correlation.id", value)]);
        assert_eq!(of(&from("theirs")), Some("theirs"));
        assert_eq!(of(&from("not an id")), None);
    }
}
