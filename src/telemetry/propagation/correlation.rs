//! Reads the correlation id of a request from its headers, or creates one.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::ignored::{self, Header, Reason};
use crate::base::error::ConfigError;
use crate::telemetry::correlation::CorrelationId;

/// The header in which a correlation id is sent.
pub(in crate::telemetry) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Where a server finds the correlation id of a request: see
/// [`ServerSpanLayer::correlation`](crate::telemetry::ServerSpanLayer::correlation).
///
/// # Example
/// ```
/// use campanile::telemetry::Correlation;
///
/// let correlation = Correlation::default().headers(["x-amzn-trace-id"])?;
/// assert!(correlation.headers(["not a header"]).is_err());
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Correlation {
    /// At least one.
    headers: Arc<[HeaderName]>,
    trust: bool,
}

impl Default for Correlation {
    /// `x-request-id`, then `x-correlation-id`; ids of callers are accepted.
    fn default() -> Self {
        Self { headers: Arc::new([X_REQUEST_ID, X_CORRELATION_ID]), trust: true }
    }
}

impl Correlation {
    /// Sets the headers of ids, in order of preference. An id that came in none of them is sent in the first.
    ///
    /// # Errors
    /// Returns an error if there is none, or one is not a valid header name.
    pub fn headers<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let names = names.into_iter().map(|name| header("headers", name));
        let headers = names.collect::<Result<Arc<[_]>, _>>()?;
        ConfigError::check(!headers.is_empty(), "headers", &headers, "at least one header")?;
        Ok(Self { headers, ..self })
    }

    /// Sets whether ids of callers are accepted. Default `true`. Set it to `false` at the edge, where a caller could use
    /// the id of another.
    #[must_use]
    pub fn trust_callers(self, trust: bool) -> Self {
        Self { trust, ..self }
    }

    /// The id in the request, and its header.
    fn named(&self, headers: &HeaderMap) -> Option<(CorrelationId, &HeaderName)> {
        self.headers.iter().find_map(|name| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?;
            let reason = match value.to_str().ok().map(str::parse) {
                _ if values.next().is_some() => Reason::Repeated,
                Some(Ok(id)) => return Some((id, name)),
                _ if value.len() > CorrelationId::MAX_LENGTH => Reason::TooLarge,
                _ => Reason::Malformed,
            };
            ignored::count(Header::CorrelationId, reason);
            None
        })
    }

    /// The id of a request with these headers, and the header of its response. `caller` has the id in the caller's baggage.
    pub(in crate::telemetry) fn id(
        &self,
        headers: &HeaderMap,
        caller: impl FnOnce() -> Option<CorrelationId>,
    ) -> (CorrelationId, HeaderName) {
        let first = || self.headers.first().unwrap_or(&X_REQUEST_ID).clone();
        if !self.trust {
            return (CorrelationId::generate(), first());
        }
        match self.named(headers) {
            Some((id, name)) => (id, name.clone()),
            None => (caller().unwrap_or_else(CorrelationId::generate), first()),
        }
    }
}

/// A header's name.
pub(in crate::telemetry) fn header(setting: &'static str, name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name)
        .map_err(|_| ConfigError::new(setting, format_args!("{name:?}"), "a valid header name"))
}
