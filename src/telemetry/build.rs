//! The start of a pipeline.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use opentelemetry::metrics::MeterProvider;
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
#[cfg(feature = "prometheus")]
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::{RandomIdGenerator, SdkTracerProvider, SpanProcessor};
use tracing_subscriber::layer::SubscriberExt;

use super::adapters::SharedProcessor;
#[cfg(any(feature = "system", feature = "gpu"))]
use super::builder::SetUpSampler;
use super::builder::TelemetryBuilder;
use super::context;
use super::core::Core;
use super::correlation::CorrelationId;
use super::counters::Counters;
use super::error::TelemetryError;
use super::filter;
use super::logs::Logs;
use super::metrics::{self, PendingPushes};
use super::pipeline::{Inner, Telemetry};
use super::propagation::Formats;
use super::red::{Labels, RedMetrics};
use super::resolve::Resolved;
use super::resource::identity;
use super::sampling::{Sampler, SharedSampler, Tail};
use super::self_metrics::SelfMetrics;
use super::span_layer::SpanLayer;
use super::spans::{LayerRegistry, Spans};
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::AtomicBool;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::SamplerSettings;
use crate::signal::{self, Vitals};

impl TelemetryBuilder {
    /// Starts the pipeline of the process. It sets the global `tracing` subscriber and the global OpenTelemetry
    /// providers and propagator, and exports the metrics of every layer of this crate.
    ///
    /// It needs no runtime.
    ///
    /// # Errors
    /// [`TelemetryError::Setting`] for an invalid setting or variable, [`TelemetryError::SubscriberSet`] if there is a
    /// global subscriber already, and [`TelemetryError::Exporter`] for an invalid endpoint. An endpoint that does not
    /// answer is no error.
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
        #[cfg(not(feature = "otlp"))]
        let variables = self.variables.clone();
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
        #[cfg(not(feature = "otlp"))]
        super::selection::warn_about_unused_endpoint(&variables);
        let _first = inner.published.set(signal::publish(inner.meter.clone(), inner.exemplars.clone()));
        Ok(telemetry)
    }

    /// Starts a pipeline without setting any global: for your own subscriber, and for tests.
    ///
    /// Metrics of the layers of this crate are exported by the installed pipeline, not by this one.
    ///
    /// # Errors
    /// Those of [`install`](Self::install), except [`TelemetryError::SubscriberSet`].
    pub fn build(self) -> Result<Telemetry, TelemetryError> {
        let Self { settings, variables, .. } = self;
        let Resolved {
            batch,
            limits,
            secrets,
            logs: log_settings,
            selection,
            sampling,
            push,
            formats,
            resource,
        } = Resolved::new(&settings, &variables)?;

        let counters = Arc::new(Counters::default());
        let scope =
            InstrumentationScope::builder("campanile").with_version(env!("CARGO_PKG_VERSION")).build();
        let view = metrics::view(scope.clone(), selection.exponential, settings.span_names);
        let meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_view(view);
        let mut started =
            selection.start(&variables, batch, &settings.otlp_settings, &counters, &resource)?;
        if !selection.disabled {
            for start in self.span_exporters {
                started.batches.push(Arc::new(start(batch, &counters, &resource)?));
            }
            started.logs.extend(self.log_exporters);
            started.pending_pushes.extend(self.pending_pushes);
        }
        let batches = started.batches;
        let mut log_batches = Vec::new();
        for start in started.logs {
            let code_attributes = settings.code_attributes;
            log_batches.push(Arc::new(start(&log_settings, code_attributes, &counters, &resource)?));
        }
        let logs = Arc::new(Logs::new(log_batches, log_settings, limits));
        let mut scraped = None;
        let mut exemplars = None;
        #[cfg(feature = "prometheus")]
        let mut scrape = None;
        #[cfg(feature = "prometheus")]
        if selection.prometheus {
            let reader = metrics::SharedReader::of(Temporality::Cumulative, &counters);
            let found = super::prometheus::Scrape::new(reader.clone(), scope.clone(), &counters);
            scraped = Some(reader);
            exemplars = Some(Arc::clone(&found.exemplars));
            scrape = Some(found);
        }

        let (pending_pushes, meters) =
            PendingPushes::connect(started.pending_pushes, scraped, meters, &counters);
        let meter_provider = meters.build();
        let pushes = pending_pushes.start(push, &counters)?;
        let meter = meter_provider.meter_with_scope(scope.clone());
        let vitals = Arc::new(Vitals::default());
        let user_processors = if selection.disabled { Vec::new() } else { self.processors };
        let mut all: Vec<Arc<dyn SpanProcessor>> = user_processors.clone();
        all.extend(batches.iter().map(|batch| Arc::clone(batch) as Arc<dyn SpanProcessor>));
        let sampler = Arc::new(Sampler::new(&sampling));
        let tail = if selection.disabled { None } else { settings.tail_sampling.map(Tail::new) };
        let core = Arc::new(Core {
            red: RedMetrics::new(
                meter.clone(),
                Arc::clone(&vitals),
                settings.span_names,
                Labels::new(&settings.span_metric_fields),
                exemplars.clone(),
            ),
            spans: Spans::new(tail.is_some()),
            layers: LayerRegistry::default(),
            sampler: Arc::clone(&sampler),
            tail,
            limits,
            secrets,
            user_processors: !user_processors.is_empty(),
            processors: all,
            scope,
            ids: RandomIdGenerator::default(),
            activation: settings.activation,
            busy_and_idle: settings.busy_and_idle,
            code_attributes: settings.code_attributes,
            exception_events: settings.exception_events,
            logs: Arc::clone(&logs),
        });
        let tracer_provider = tracer_provider(&core, &resource);
        let logger_provider = logs.provider(&resource, &core.secrets);
        let self_metrics = Arc::new(SelfMetrics { core: Arc::clone(&core), counters });
        self_metrics.counters.set_meter(&meter);
        signal::instrument(&meter, &self_metrics);
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
                tracer_provider,
                logger_provider,
                logs,
                batches,
                pushes,
                #[cfg(feature = "otlp")]
                background: started.background,
                processors: user_processors,
                resource,
                propagator: Arc::new(Formats::new(formats, Some(sampler))),
                #[cfg(feature = "prometheus")]
                scrape,
                console: settings.console,
                output: self.output,
                _self_metrics: self_metrics,
                slots: Mutex::new(HashMap::new()),
                exemplars,
                published: OnceLock::new(),
                #[cfg(any(feature = "system", feature = "gpu"))]
                sampler: Mutex::new(start_sampler(self.sampler_set_ups, settings.sampler_settings())?),
                ended: AtomicBool::new(false),
            }),
        })
    }
}

/// The provider of spans of the OpenTelemetry API, with the sampler, limits and processors of the layer.
fn tracer_provider(core: &Core, resource: &Resource) -> SdkTracerProvider {
    let limit = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    let mut tracers = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(SharedSampler(Arc::clone(&core.sampler)))
        .with_max_attributes_per_span(limit(core.limits.attributes))
        .with_max_events_per_span(limit(core.limits.events))
        .with_max_links_per_span(limit(core.limits.links))
        .with_max_attributes_per_event(limit(core.limits.event_attributes))
        .with_max_attributes_per_link(limit(core.limits.link_attributes));
    for processor in &core.processors {
        let (processor, secrets) = (Arc::clone(processor), core.secrets.clone());
        tracers = tracers.with_span_processor(SharedProcessor { processor, secrets });
    }
    tracers.build()
}

#[cfg(any(feature = "system", feature = "gpu"))]
fn start_sampler(
    set_ups: Vec<SetUpSampler>,
    settings: Option<SamplerSettings>,
) -> Result<Option<crate::sampler::Sampler>, ConfigError> {
    let Some(settings) = settings else { return Ok(None) };
    let builder = crate::sampler::Sampler::builder().settings(settings);
    set_ups.into_iter().fold(builder, |builder, set_up| set_up(builder)).build().map(Some)
}
