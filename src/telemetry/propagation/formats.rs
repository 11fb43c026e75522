//! The formats of trace context and baggage.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TraceId};

use super::carrier::{Carrier, ExtractorCarrier, InjectorWriter, Writer};
use super::{b3, baggage, trace_context};
use crate::base::error::ConfigError;
use crate::telemetry::sampling::{Candidate, Sampler};
use crate::telemetry::variables::Variables;

pub(in crate::telemetry) type Propagator = Arc<Formats>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Format {
    TraceContext,
    Baggage,
    B3,
    B3Multi,
}

impl Format {
    /// By their names in `OTEL_PROPAGATORS`.
    const NAMES: [(&'static str, Self); 4] = [
        ("tracecontext", Self::TraceContext),
        ("baggage", Self::Baggage),
        ("b3", Self::B3),
        ("b3multi", Self::B3Multi),
    ];

    /// The formats of these names, without duplicates; `none` is not a format.
    fn of<'a>(
        setting: &'static str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, ConfigError> {
        let mut formats = Vec::new();
        for name in names.into_iter().filter(|name| *name != "none") {
            let Some((_, format)) = Self::NAMES.iter().find(|(known, _)| *known == name) else {
                let allowed = "a list of tracecontext, baggage, b3 and b3multi, or none";
                return Err(ConfigError::new(setting, name, allowed));
            };
            if !formats.contains(format) {
                formats.push(*format);
            }
        }
        Ok(formats)
    }

    fn is_b3(self) -> bool {
        matches!(self, Self::B3 | Self::B3Multi)
    }
}

/// The formats of `OTEL_PROPAGATORS`; by default W3C trace context and baggage.
pub(in crate::telemetry) fn from_variables(variables: &Variables) -> Result<Vec<Format>, ConfigError> {
    const NAME: &str = "OTEL_PROPAGATORS";
    match variables.list(NAME) {
        Some(names) => Format::of(NAME, names.iter().map(String::as_str)),
        None => Ok(vec![Format::TraceContext, Format::Baggage]),
    }
}

/// Returns a propagator for other formats than those of the process, such as for one upstream.
///
/// `tracecontext` and `baggage` are those of the W3C, `b3` and `b3multi` those of Zipkin. If a request has
/// several, the last one wins. If B3 headers leave the sampling decision open, the trace is sampled.
///
/// # Errors
/// Returns an error for any other name.
///
/// # Example
/// ```
/// use campanile::telemetry;
///
/// // For the client of a service that reads only B3: `telemetry.http_client_layer().propagator(b3)`.
/// let b3 = telemetry::propagator(["b3multi"])?;
/// assert!(b3.fields().any(|header| header == "x-b3-traceid"));
/// assert!(telemetry::propagator(["carrier_pigeon"]).is_err());
/// # Ok::<(), campanile::ConfigError>(())
/// ```
pub fn propagator<'a>(
    formats: impl IntoIterator<Item = &'a str>,
) -> Result<Arc<dyn TextMapPropagator + Send + Sync>, ConfigError> {
    Ok(Arc::new(Formats::new(Format::of("propagator", formats)?, None)))
}

/// A propagator of several formats.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Formats {
    formats: Vec<Format>,
    /// Decides about traces that the caller leaves to us; without it they are kept.
    sampler: Option<Arc<Sampler>>,
    /// The names of the headers, for proxies.
    fields: Vec<String>,
}

impl Formats {
    pub(in crate::telemetry) fn new(formats: Vec<Format>, sampler: Option<Arc<Sampler>>) -> Self {
        let fields = formats.iter().flat_map(|format| match format {
            Format::TraceContext => &trace_context::FIELDS[..],
            Format::Baggage => &baggage::FIELDS,
            Format::B3 => &b3::SINGLE_FIELDS,
            Format::B3Multi => &b3::MULTI_FIELDS,
        });
        let fields = fields.map(|field| field.name.to_owned()).collect();
        Self { formats, sampler, fields }
    }

    fn keeps(&self, trace_id: TraceId) -> bool {
        // The trait has no name for it yet.
        let candidate = Candidate { trace_id, parent: None, name: "" };
        self.sampler.as_ref().is_none_or(|sampler| sampler.keeps(candidate))
    }

    /// Returns `context` with the values of `carrier`; `None` if it has none.
    pub(super) fn read(&self, context: &Context, carrier: &impl Carrier) -> Option<Context> {
        let mut made: Option<Context> = None;
        let mut b3_is_read = false;
        for format in &self.formats {
            let so_far = made.as_ref().unwrap_or(context);
            let next = match format {
                Format::TraceContext => {
                    trace_context::extract(carrier).map(|span| so_far.with_remote_span_context(span))
                }
                Format::Baggage => baggage::extract(carrier).map(|baggage| so_far.with_baggage(baggage)),
                // Both forms are read, whichever is written.
                Format::B3 | Format::B3Multi if b3_is_read => None,
                Format::B3 | Format::B3Multi => b3::extract(so_far, carrier, |trace_id| self.keeps(trace_id)),
            };
            b3_is_read |= format.is_b3();
            made = next.or(made);
        }
        made
    }

    pub(super) fn write(&self, context: &Context, writer: &mut impl Writer) {
        for format in &self.formats {
            match format {
                Format::TraceContext => trace_context::inject(context, writer),
                Format::Baggage => baggage::inject(context, writer),
                Format::B3 => b3::inject_single(context, writer),
                Format::B3Multi => b3::inject_multi(context, writer),
            }
        }
    }
}

impl TextMapPropagator for Formats {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.write(context, &mut InjectorWriter(injector));
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.read(context, &ExtractorCarrier(extractor)).unwrap_or_else(|| context.clone())
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}
