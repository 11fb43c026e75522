//! The formats that a layer reads from requests, or writes to them.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;

use super::carrier::{Headers, HeadersMut};
use super::formats::Propagator;
use super::ignored;

/// A propagator of the OpenTelemetry API.
pub(in crate::telemetry) type SharedPropagator = Arc<dyn TextMapPropagator + Send + Sync>;

/// The formats that a layer reads from requests, or writes to them.
#[derive(Clone)]
pub(in crate::telemetry) enum Exchanged {
    /// Those of the pipeline.
    Formats(Propagator),
    /// Those that the user has chosen.
    Other(SharedPropagator),
}

impl Exchanged {
    /// The formats of a pipeline. Reports from now on how many headers are ignored.
    pub(in crate::telemetry) fn new(formats: &Propagator) -> Self {
        ignored::register();
        Self::Formats(Arc::clone(formats))
    }

    /// Returns `context` with trace context and baggage of `headers`; `None` if they have neither.
    pub(in crate::telemetry) fn read(&self, context: &Context, headers: &HeaderMap) -> Option<Context> {
        match self {
            Self::Formats(formats) => formats.read(context, headers),
            Self::Other(propagator) => {
                let read = propagator.extract_with_context(context, &Headers(headers));
                (read.has_active_span() || !read.baggage().is_empty()).then_some(read)
            }
        }
    }

    /// Writes the trace context and baggage of `context`.
    pub(in crate::telemetry) fn write(&self, context: &Context, headers: &mut HeaderMap) {
        match self {
            Self::Formats(formats) => formats.write(context, headers),
            Self::Other(propagator) => propagator.inject_context(context, &mut HeadersMut(headers)),
        }
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = match self {
            Self::Formats(formats) => formats.fields().collect(),
            Self::Other(propagator) => propagator.fields().collect(),
        };
        f.debug_tuple("Exchanged").field(&fields).finish()
    }
}
