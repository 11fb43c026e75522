//! The handle of a running pipeline.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use tracing::Subscriber;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::batch::BatchProcessor;
use super::console::{self, Console, Output};
use super::logs::Logs;
use super::metrics::{Meters, Push};
use super::propagation::Propagator;
use super::self_metrics::SelfMetrics;
use super::span_layer::SpanLayer;
use crate::base::redact::Redactor;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::AtomicBool;
use crate::signal::{Book, Vitals};

/// Traces, metrics and logs of this process, on their way out.
///
/// Clones share one pipeline. It ends with [`shutdown`](Self::shutdown), or when the last clone is dropped.
///
/// # Example
/// ```no_run
/// use std::time::Duration;
///
/// use campanile::Telemetry;
///
/// # fn main() -> Result<(), campanile::telemetry::TelemetryError> {
/// let telemetry = Telemetry::builder("checkout").install()?;
/// // … the service runs …
/// telemetry.shutdown(Duration::from_secs(5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Telemetry {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) layer: SpanLayer,
    pub(super) vitals: Arc<Vitals>,
    pub(super) meter: Meter,
    pub(super) meter_provider: SdkMeterProvider,
    pub(super) tracer_provider: SdkTracerProvider,
    pub(super) logger_provider: SdkLoggerProvider,
    pub(super) logs: Arc<Logs>,
    pub(super) batches: Vec<Arc<BatchProcessor>>,
    pub(super) pushes: Vec<Arc<Push>>,
    #[cfg(feature = "otlp")]
    pub(super) background: Option<Arc<super::export::Background>>,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    pub(super) resource: Resource,
    pub(super) propagator: Propagator,
    #[cfg(feature = "prometheus")]
    pub(super) scrape: Option<super::prometheus::Scrape>,
    pub(super) console: Console,
    pub(super) output: Output,
    /// The numbers of the pipeline itself; the meter holds no more than a weak reference.
    pub(super) _self_metrics: Arc<SelfMetrics>,
    pub(super) slots: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// Where durations find a span that stands for them, if somebody wants one.
    pub(super) exemplars: Option<Arc<Book>>,
    /// What a published meter is withdrawn with.
    pub(super) published: OnceLock<u64>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) sampler: Mutex<Option<crate::sampler::Sampler>>,
    pub(super) ended: AtomicBool,
}

impl Telemetry {
    /// The layer that turns `tracing` spans into trace spans, metrics and health; `install` has added it
    /// already.
    ///
    /// # Example
    /// ```
    /// use campanile::Telemetry;
    /// use tracing_subscriber::prelude::*;
    ///
    /// let telemetry = Telemetry::builder("checkout").build()?;
    /// let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    /// tracing::subscriber::with_default(subscriber, || tracing::info_span!("order").in_scope(|| ()));
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    #[must_use]
    pub fn span_layer(&self) -> SpanLayer {
        self.inner.layer.clone()
    }

    /// The layer that writes logs with trace and span ids; `install` has added it already. Nothing for
    /// [`Console::Off`].
    #[must_use]
    pub fn console_layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        console::layer(self.inner.console, &self.inner.output, &self.inner.layer.core)
    }

    /// Makes spans through the OpenTelemetry API that take the same way as those of the layer.
    #[must_use]
    pub fn tracer_provider(&self) -> SdkTracerProvider {
        self.inner.tracer_provider.clone()
    }

    /// Takes log records through the OpenTelemetry API, for the appenders of other log crates; they take the same way
    /// as the events of `tracing`.
    #[must_use]
    pub fn logger_provider(&self) -> SdkLoggerProvider {
        self.inner.logger_provider.clone()
    }

    /// Makes instruments whose values go where the others go.
    #[must_use]
    pub fn meter_provider(&self) -> Meters {
        Meters(self.inner.meter_provider.clone())
    }

    /// The formats in which trace context and baggage travel.
    #[must_use]
    pub fn propagator(&self) -> Arc<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync> {
        self.inner.propagator.clone()
    }

    /// Who sends all this.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.inner.resource
    }

    /// How many spans the layer saw start, sampled or not.
    #[must_use]
    pub fn spans_started(&self) -> u64 {
        self.inner.layer.core.spans.totals().0
    }

    /// How many traces [`tail_sampling`](super::TelemetryBuilder::tail_sampling) gave up for want of room, whether they would
    /// have been kept or not.
    #[must_use]
    pub fn tail_evicted(&self) -> u64 {
        self.inner.layer.core.tail.as_ref().map_or(0, |tail| tail.totals().1)
    }

    /// All metrics, as Prometheus text; empty if [`prometheus`](super::TelemetryBuilder::prometheus) was not asked
    /// for.
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        self.inner.scrape.as_ref().map(super::prometheus::Scrape::text).unwrap_or_default()
    }

    /// All metrics, as OpenMetrics text: as [`prometheus_text`](Self::prometheus_text), and with exemplars, which name
    /// a sampled span for each bucket of the durations of spans and of HTTP and gRPC calls. Prometheus keeps them if it runs with
    /// `--enable-feature=exemplar-storage`.
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    #[must_use]
    pub fn openmetrics_text(&self) -> String {
        self.inner.scrape.as_ref().map(super::prometheus::Scrape::openmetrics).unwrap_or_default()
    }

    /// A tower service for `GET /metrics`; axum takes it with `route_service`.
    #[cfg(all(feature = "http", feature = "prometheus"))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "http", feature = "prometheus"))))]
    #[must_use]
    pub fn prometheus_service(&self) -> super::prometheus::PrometheusService {
        super::prometheus::PrometheusService { scrape: self.inner.scrape.clone() }
    }

    /// Takes secrets out of texts as the pipeline does: for what leaves the process in another way.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.inner.layer.core.secrets.redactor()
    }

    /// The vital signs of every component.
    pub(crate) fn vitals(&self) -> &Arc<Vitals> {
        &self.inner.vitals
    }

    /// The one `T` that belongs to this pipeline, made when it is first asked for.
    pub(crate) fn slot<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let find = || self.inner.slots.lock().get(&TypeId::of::<T>()).cloned();
        let found = find().unwrap_or_else(|| {
            // Outside the lock; of two that are made at once, one stays.
            let made: Arc<dyn Any + Send + Sync> = Arc::new(make());
            Arc::clone(self.inner.slots.lock().entry(TypeId::of::<T>()).or_insert(made))
        });
        match found.downcast::<T>() {
            Ok(slot) => slot,
            Err(_) => unreachable!("a slot holds the type that it is filed under"),
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("resource", &self.inner.resource).finish_non_exhaustive()
    }
}
