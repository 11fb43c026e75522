//! The handle of a running pipeline.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

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
use crate::signal::{ExemplarRegistry, Instrumented, Vitals};

/// The telemetry pipeline of a process: its traces, metrics and logs.
///
/// Clones share one pipeline. [`shutdown`](Self::shutdown) ends it, and so does the drop of the last clone.
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
    /// Held here, because the meter has a weak reference only.
    pub(super) _self_metrics: Arc<SelfMetrics>,
    /// Held here, so that new metrics get instruments as long as the pipeline lives.
    pub(super) _instrumented: Arc<Instrumented>,
    pub(super) slots: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// Exemplars of durations, if Prometheus is on.
    pub(super) exemplars: Option<Arc<ExemplarRegistry>>,
    /// Identifies the published meter, for its withdrawal.
    pub(super) published: OnceLock<u64>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) sampler: Mutex<Option<crate::sampler::Sampler>>,
    pub(super) ended: AtomicBool,
}

static INSTALLED: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

impl Telemetry {
    /// Returns the layer that makes traces, metrics and health from `tracing` spans. `install` adds it.
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

    /// Returns the layer that writes console logs with trace and span ids, or `None` for [`Console::Off`]. `install` adds
    /// it.
    #[must_use]
    pub fn console_layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        console::layer(self.inner.console, &self.inner.output, &self.inner.layer.core)
    }

    /// Returns the provider of the OpenTelemetry API for spans. They are sampled, redacted and exported like spans of the
    /// layer.
    #[must_use]
    pub fn tracer_provider(&self) -> SdkTracerProvider {
        self.inner.tracer_provider.clone()
    }

    /// Returns the provider of the OpenTelemetry API for log records, for the appenders of other log crates. The records are
    /// redacted and exported like events of `tracing`.
    #[must_use]
    pub fn logger_provider(&self) -> SdkLoggerProvider {
        self.inner.logger_provider.clone()
    }

    /// Returns the provider of the OpenTelemetry API for metrics. They are exported like the metrics of this crate.
    #[must_use]
    pub fn meter_provider(&self) -> Meters {
        Meters(self.inner.meter_provider.clone())
    }

    /// Returns the propagator for the formats of `OTEL_PROPAGATORS`.
    #[must_use]
    pub fn propagator(&self) -> Arc<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync> {
        self.inner.propagator.clone()
    }

    /// Returns the resource: the attributes of the service, the process and the machine.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.inner.resource
    }

    /// Returns the number of spans that started, sampled or not.
    #[must_use]
    pub fn spans_started(&self) -> u64 {
        self.inner.layer.core.spans.totals().0
    }

    /// Returns the number of traces that [`tail_sampling`](super::TelemetryBuilder::tail_sampling) dropped before their end,
    /// because its buffer was full.
    #[doc(hidden)] // For tests. It is the metric `campanile.telemetry.tail.evicted`.
    #[must_use]
    pub fn tail_evicted(&self) -> u64 {
        self.inner.layer.core.tail.as_ref().map_or(0, |tail| tail.totals().1)
    }

    /// Returns all metrics as Prometheus text. It is empty without
    /// [`prometheus`](super::TelemetryBuilder::prometheus).
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        self.inner.scrape.as_ref().map(super::prometheus::Scrape::text).unwrap_or_default()
    }

    /// Returns all metrics as OpenMetrics text, like [`prometheus_text`](Self::prometheus_text) and with exemplars. An
    /// exemplar names a sampled span for a bucket of the durations of spans and of HTTP and gRPC calls. Prometheus stores
    /// exemplars if it runs with `--enable-feature=exemplar-storage`.
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    #[must_use]
    pub fn openmetrics_text(&self) -> String {
        self.inner.scrape.as_ref().map(super::prometheus::Scrape::openmetrics).unwrap_or_default()
    }

    /// Returns a tower service for `GET /metrics`. With axum, add it by `route_service`.
    #[cfg(all(feature = "http", feature = "prometheus"))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "http", feature = "prometheus"))))]
    #[must_use]
    pub fn prometheus_service(&self) -> super::prometheus::PrometheusService {
        super::prometheus::PrometheusService { scrape: self.inner.scrape.clone() }
    }

    /// Returns the redactor of the pipeline, for texts that leave the process in another way.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.inner.layer.core.secrets.redactor()
    }

    /// The pipeline that was installed, unless its last handle was dropped.
    pub(crate) fn installed() -> Option<Self> {
        INSTALLED.lock().upgrade().map(|inner| Self { inner })
    }

    /// Called by `install`.
    pub(super) fn set_installed(&self) {
        *INSTALLED.lock() = Arc::downgrade(&self.inner);
    }

    /// The vital signs of every component.
    pub(crate) fn vitals(&self) -> &Arc<Vitals> {
        &self.inner.vitals
    }

    /// The `T` of this pipeline. The first call makes it.
    pub(crate) fn slot<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let find = || self.inner.slots.lock().get(&TypeId::of::<T>()).cloned();
        let found = find().unwrap_or_else(|| {
            // Outside the lock. If two threads make one at once, one of them stays.
            let made: Arc<dyn Any + Send + Sync> = Arc::new(make());
            Arc::clone(self.inner.slots.lock().entry(TypeId::of::<T>()).or_insert(made))
        });
        match found.downcast::<T>() {
            Ok(slot) => slot,
            Err(_) => unreachable!("the key of a slot is its type"),
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("resource", &self.inner.resource).finish_non_exhaustive()
    }
}
