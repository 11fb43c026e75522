//! The pipeline, from its start to its end.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
#[cfg(feature = "prometheus")]
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::{RandomIdGenerator, SdkTracerProvider, SpanProcessor};
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::adapters::SharedProcessor;
use super::batch::Batch;
use super::builder::{TelemetryBuilder, TelemetrySettings};
use super::choice::Choice;
use super::console::{self, Console, Output};
use super::context;
use super::core::Core;
use super::correlation::CorrelationId;
use super::counters::{Counters, OwnNumbers};
use super::ending::{Job, jobs, within};
use super::error::TelemetryError;
use super::filter;
use super::logs::Logs;
use super::metrics::{self, Meters, Outlets, Push, PushSettings};
use super::propagation::{self, Formats, Propagator};
use super::red::{Labels, Red};
use super::resource::{identity, resource};
use super::sampling::{Sampler, Sampling, SharedSampler, Tail};
use super::secrets::Secrets;
use super::span_layer::SpanLayer;
use super::spans::{Layers, Spans};
use super::variables::Variables;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::signal::{self, ExemplarRegistry, Vitals};

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
    inner: Arc<Inner>,
}

struct Inner {
    layer: SpanLayer,
    vitals: Arc<Vitals>,
    meter: Meter,
    meter_provider: SdkMeterProvider,
    tracer_provider: SdkTracerProvider,
    logger_provider: SdkLoggerProvider,
    logs: Arc<Logs>,
    batches: Vec<Arc<Batch>>,
    pushes: Vec<Arc<Push>>,
    #[cfg(feature = "otlp")]
    background: Option<Arc<super::export::Background>>,
    processors: Vec<Arc<dyn SpanProcessor>>,
    resource: Resource,
    propagator: Propagator,
    #[cfg(feature = "prometheus")]
    scrape: Option<super::prometheus::Scrape>,
    console: Console,
    output: Output,
    /// The numbers of the pipeline itself; the meter holds no more than a weak reference.
    _own: Arc<OwnNumbers>,
    slots: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// Where durations find a span that stands for them, if somebody wants one.
    exemplars: Option<Arc<ExemplarRegistry>>,
    /// What a published meter is withdrawn with.
    published: OnceLock<u64>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    sampler: Mutex<Option<crate::sampler::Sampler>>,
    ended: AtomicBool,
}

/// How long the drop of the last handle may take.
const LAST_DROP: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Starts to set up telemetry for the service of this name.
    pub fn builder(service_name: impl Into<String>) -> TelemetryBuilder {
        TelemetrySettings::new(service_name).builder()
    }

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

    /// How many traces [`tail_sampling`](TelemetryBuilder::tail_sampling) gave up for want of room, whether they would
    /// have been kept or not.
    #[must_use]
    pub fn tail_evicted(&self) -> u64 {
        self.inner.layer.core.tail.as_ref().map_or(0, |tail| tail.totals().1)
    }

    /// All metrics, as Prometheus text; empty if [`prometheus`](TelemetryBuilder::prometheus) was not asked
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

    /// Sends what waits, within `limit`; whether all of it was delivered.
    ///
    /// It blocks the thread for up to `limit`, never the work of the pipeline.
    pub fn force_flush(&self, limit: Duration) -> bool {
        self.inner.force_flush(limit)
    }

    /// Sends what waits and ends the pipeline, within `limit` whatever hangs; whether all of it was delivered.
    ///
    /// It blocks the thread for up to `limit`, never the work of the pipeline: any runtime will do, and none.
    /// Spans that close afterwards are counted as dropped. A second call does nothing.
    pub fn shutdown(&self, limit: Duration) -> bool {
        self.inner.shut_down(limit)
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

impl TelemetryBuilder {
    /// Starts the pipeline and makes it that of the process: the global `tracing` subscriber, the global
    /// OpenTelemetry providers and propagator, and the metrics of every layer.
    ///
    /// It may be called from any runtime, or from none.
    ///
    /// # Errors
    /// [`TelemetryError::Setting`] for a setting or a variable that cannot be used,
    /// [`TelemetryError::SubscriberSet`] if there is a global subscriber already,
    /// [`TelemetryError::Exporter`] for an endpoint that cannot be one. An endpoint that does not answer is no error.
    ///
    /// # Example
    /// ```
    /// use campanile::Telemetry;
    ///
    /// let telemetry = Telemetry::builder("checkout").install()?;
    /// tracing::info_span!("order", component = "orders").in_scope(|| tracing::info!("hello"));
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    pub fn install(self) -> Result<Telemetry, TelemetryError> {
        let filter = filter::env_filter(&self.settings.env_filter, &self.variables)?;
        let telemetry = self.build()?;
        let inner = &*telemetry.inner;
        let subscriber = tracing_subscriber::registry()
            .with(filter)
            .with(telemetry.span_layer())
            .with(telemetry.console_layer());
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::SubscriberSet)?;
        global::set_tracer_provider(inner.tracer_provider.clone());
        global::set_meter_provider(telemetry.meter_provider());
        global::set_text_map_propagator(Formats::clone(&inner.propagator));
        propagation::choose(Arc::clone(&inner.propagator));
        let _first = inner.published.set(signal::publish(inner.meter.clone(), inner.exemplars.clone()));
        Ok(telemetry)
    }

    /// Starts the pipeline and leaves every global alone: for a subscriber of one's own, and for tests.
    ///
    /// Timings of layers, which go to the pipeline that was installed, do not go to this one.
    ///
    /// # Errors
    /// As [`install`](Self::install).
    pub fn build(self) -> Result<Telemetry, TelemetryError> {
        let Self { settings, variables, .. } = self;
        settings.check()?;
        let batch = settings.batch.with_variables("BSP", &variables)?;
        batch.check()?;
        let limits = settings.limits.with_variables(&variables)?;
        let secrets = Secrets::new(&settings.redaction, &variables)?;
        let log_settings = settings.logs.with_variables(&variables)?;
        let choice = Choice::of(&settings, &variables)?;
        let sampling = sampling(&settings, &variables, choice.disabled)?;
        let push = push_settings(&settings, &variables)?;
        // `install` needs it; a value that cannot be used is an error for all.
        filter::log_level(&variables)?;
        let formats = propagation::from_variables(&variables)?;
        let resource =
            resource(&settings.service_name, &settings.attributes, settings.detection, &variables)?;

        let counters = Arc::new(Counters::default());
        let scope =
            InstrumentationScope::builder("campanile").with_version(env!("CARGO_PKG_VERSION")).build();
        let view = metrics::view(scope.clone(), choice.exponential, settings.span_names);
        let meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_view(view);
        let mut started = choice.start(&variables, batch, &settings.otlp_settings, &counters, &resource)?;
        if !choice.disabled {
            for start in self.exporters {
                started.batches.push(Arc::new(start(batch, &counters, &resource)?));
            }
            started.logs.extend(self.log_exporters);
            started.outlets.extend(self.outlets);
        }
        let batches = started.batches;
        let mut log_batches = Vec::new();
        for start in started.logs {
            let places = settings.code_attributes;
            log_batches.push(Arc::new(start(&log_settings, places, &counters, &resource)?));
        }
        let logs = Arc::new(Logs::new(log_batches, log_settings, limits));
        let mut scraped = None;
        let mut exemplars = None;
        #[cfg(feature = "prometheus")]
        let mut scrape = None;
        #[cfg(feature = "prometheus")]
        if choice.prometheus {
            let reader = metrics::Shared::of(Temporality::Cumulative, &counters);
            let found = super::prometheus::Scrape::new(reader.clone(), scope.clone(), &counters);
            scraped = Some(reader);
            exemplars = Some(Arc::clone(&found.exemplars));
            scrape = Some(found);
        }

        let (outlets, meters) = Outlets::connect(started.outlets, scraped, meters, &counters);
        let meter_provider = meters.build();
        let pushes = outlets.start(push, &counters)?;
        let meter = meter_provider.meter_with_scope(scope.clone());
        let vitals = Arc::new(Vitals::default());
        let foreign = if choice.disabled { Vec::new() } else { self.processors };
        let mut all: Vec<Arc<dyn SpanProcessor>> = foreign.clone();
        all.extend(batches.iter().map(|batch| Arc::clone(batch) as Arc<dyn SpanProcessor>));
        let sampler = Arc::new(Sampler::new(&sampling));
        let tail = if choice.disabled { None } else { settings.tail_sampling.map(Tail::new) };
        let mut tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(SharedSampler(Arc::clone(&sampler)))
            .with_max_attributes_per_span(u32::try_from(limits.attributes).unwrap_or(u32::MAX))
            .with_max_events_per_span(u32::try_from(limits.events).unwrap_or(u32::MAX))
            .with_max_links_per_span(u32::try_from(limits.links).unwrap_or(u32::MAX))
            .with_max_attributes_per_event(u32::try_from(limits.event_attributes).unwrap_or(u32::MAX))
            .with_max_attributes_per_link(u32::try_from(limits.link_attributes).unwrap_or(u32::MAX));
        for processor in &all {
            let (processor, secrets) = (Arc::clone(processor), secrets.clone());
            tracers = tracers.with_span_processor(SharedProcessor { processor, secrets });
        }
        let deferred = Arc::clone(&sampler);
        let core = Arc::new(Core {
            red: Red::new(
                meter.clone(),
                Arc::clone(&vitals),
                settings.span_names,
                Labels::new(&settings.span_metric_fields),
                exemplars.clone(),
            ),
            spans: Spans::new(tail.is_some()),
            layers: Layers::default(),
            sampler,
            tail,
            limits,
            secrets,
            foreign_processors: !foreign.is_empty(),
            processors: all,
            scope,
            ids: RandomIdGenerator::default(),
            activate: settings.activation,
            busy: settings.busy_and_idle,
            places: settings.code_attributes,
            exception_events: settings.exception_events,
            logs: Arc::clone(&logs),
        });
        let logger_provider = logs.provider(&resource, &core.secrets);
        let own = Arc::new(OwnNumbers { core: Arc::clone(&core), counters });
        own.counters.tell(&meter);
        signal::instrument(&meter, &own);
        signal::on_current(signal::Current {
            trace: context::current_trace,
            sampled: context::sampled_span,
            correlation: || CorrelationId::current().map(|id| id.to_string()),
        });
        signal::identify(identity(&resource));
        Ok(Telemetry {
            inner: Arc::new(Inner {
                layer: SpanLayer::new(core),
                vitals,
                meter,
                meter_provider,
                tracer_provider: tracers.build(),
                logger_provider,
                logs,
                batches,
                pushes,
                #[cfg(feature = "otlp")]
                background: started.background,
                processors: foreign,
                resource,
                propagator: Arc::new(Formats::new(formats, Some(deferred))),
                #[cfg(feature = "prometheus")]
                scrape,
                console: settings.console,
                output: self.output,
                _own: own,
                slots: Mutex::new(HashMap::new()),
                exemplars,
                published: OnceLock::new(),
                #[cfg(any(feature = "system", feature = "gpu"))]
                sampler: Mutex::new(super::machine::start(self.set_ups, &settings)?),
                ended: AtomicBool::new(false),
            }),
        })
    }
}

impl Inner {
    fn force_flush(&self, limit: Duration) -> bool {
        let batches = jobs(&self.batches, move |batch| batch.flush(limit));
        let logs = jobs(&self.logs.batches, move |batch| batch.flush(limit));
        let processors = jobs(&self.processors, |processor| processor.force_flush().is_ok());
        let pushes = jobs(&self.pushes, move |push| push.flush(limit));
        within(limit, batches.chain(logs).chain(processors).chain(pushes).collect())
    }

    fn shut_down(&self, limit: Duration) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return true;
        }
        if let Some(generation) = self.published.get() {
            signal::withdraw(*generation);
        }
        // Until the end: the last export tells what the machine was like then.
        #[cfg(any(feature = "system", feature = "gpu"))]
        let _sampler = self.sampler.lock().take();
        #[cfg(feature = "otlp")]
        if let Some(background) = &self.background {
            background.close();
        }
        let batches = jobs(&self.batches, move |batch| batch.shut_down(limit));
        let logs = jobs(&self.logs.batches, move |batch| batch.shut_down(limit));
        let (tracers, loggers) = (self.tracer_provider.clone(), self.logger_provider.clone());
        let (pushes, meters) = (self.pushes.clone(), self.meter_provider.clone());
        let providers: [Job; 3] = [
            Box::new(move || loggers.shutdown_with_timeout(limit).is_ok()),
            Box::new(move || tracers.shutdown_with_timeout(limit).is_ok()),
            Box::new(move || {
                // Side by side, and before the readers are taken from them.
                let pushed = within(limit, jobs(&pushes, move |push| push.shut_down(limit)).collect());
                meters.shutdown_with_timeout(limit).is_ok() && pushed
            }),
        ];
        within(limit, batches.chain(logs).chain(providers).collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down(LAST_DROP);
    }
}

fn push_settings(settings: &TelemetrySettings, variables: &Variables) -> Result<PushSettings, ConfigError> {
    let of = |name, set| match variables.milliseconds(name)? {
        Some(Duration::ZERO) => Err(ConfigError::new(name, 0, "milliseconds, more than zero")),
        given => Ok(given.unwrap_or(set)),
    };
    Ok(PushSettings {
        every: of("OTEL_METRIC_EXPORT_INTERVAL", settings.metrics_every)?,
        timeout: of("OTEL_METRIC_EXPORT_TIMEOUT", settings.metrics_timeout)?,
    })
}

fn sampling(
    settings: &TelemetrySettings,
    variables: &Variables,
    disabled: bool,
) -> Result<Sampling, ConfigError> {
    if disabled {
        return Ok(Sampling::AlwaysOff);
    }
    match variables.get("OTEL_TRACES_SAMPLER") {
        Some(name) => Sampling::from_variables(&name, variables.get("OTEL_TRACES_SAMPLER_ARG").as_deref()),
        None => Ok(settings.sampling.clone()),
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("resource", &self.inner.resource).finish_non_exhaustive()
    }
}
