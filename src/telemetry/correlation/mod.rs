//! One id for everything that comes of one request.
//!
//! A trace id would do, but it is a different one behind every queue and batch, callers do not know it, and support
//! cannot ask a customer for it. So an id that the caller may choose goes along: it stands on each span below, in the
//! baggage, in the answer, and on every call to others.

#[cfg(feature = "http")]
mod layer;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::{Context, StringValue};
use uuid::Uuid;

use super::context::current_context;
use super::secrets::Secrets;
use crate::error::ConfigError;
use crate::unique::unique;

#[cfg(feature = "http")]
pub use layer::{HttpCorrelation, HttpCorrelationFuture, HttpCorrelationLayer, http_correlation_layer};
#[cfg(feature = "http")]
pub(super) use layer::{X_REQUEST_ID, header, of_request};

/// The id of a request, of what it caused, and of its answer.
///
/// [`http_correlation_layer`](super::http_correlation_layer) puts it among the extensions of a request. For work that
/// comes in another way, make one and attach it:
/// ```
/// use campanile::telemetry::CorrelationId;
/// use opentelemetry::Context;
///
/// let id: CorrelationId = "order-17".parse()?;
/// let attached = id.within(&Context::current()).attach();
/// // Spans made here have it, and so has each call through `http_injection_layer`.
/// assert_eq!(CorrelationId::current(), Some(id));
/// drop(attached);
/// assert_eq!(CorrelationId::current(), None);
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(Arc<str>);

/// Its key in baggage.
const KEY: &str = "correlation.id";

/// Its name as a field of spans and logs.
pub(super) const FIELD: &str = "correlation_id";

impl CorrelationId {
    /// Bytes of an id at most.
    pub const MAX_LENGTH: usize = 128;

    /// A new one: a UUID of version 7, so that ids sort by the time they were made.
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = unique().as_hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// That of the code that runs, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        of(&current_context()).map(|id| Self(id.into())).or_else(|| {
            // The current span may be older than the id.
            Context::map_current(|context| of(context).map(|id| Self(id.into())))
        })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `context` with this id, which is also in its baggage as `correlation.id`.
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
        // The last one: where baggage is full, that of others goes first.
        let baggage: Vec<_> = others.chain([own]).collect();
        context.with_baggage(baggage)
    }

    fn is_valid(text: &str) -> bool {
        (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// The id that `context` has, its own or that of its baggage.
pub(super) fn of(context: &Context) -> Option<&str> {
    match context.get::<CorrelationId>() {
        Some(id) => Some(id.as_str()),
        None => in_baggage(context).map(StringValue::as_str),
    }
}

/// The same as the value of an attribute, without the secrets that a caller may have put there.
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
    // Anybody may have written it.
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
        // From another service, which may have sent anything.
        let from =
            |value: &'static str| Context::new().with_baggage([KeyValue::new("correlation.id", value)]);
        assert_eq!(of(&from("theirs")), Some("theirs"));
        assert_eq!(of(&from("not an id")), None);
    }
}
