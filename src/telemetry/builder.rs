//! The builder of a pipeline.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::logs::LogExporter;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanExporter, SpanProcessor};

use super::console::{Console, Output};
use super::exporters::{StartLogs, StartSpans, log_exporter, span_exporter};
use super::metrics::PendingPush;
use super::pipeline::Telemetry;
use super::sampling::{Sampling, TailSampling};
use super::settings::TelemetrySettings;
use super::variables::Variables;
use crate::base::redact::RedactionSettings;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::{SamplerBuilder, SamplerSettings};

/// Changes the builder of the sampler.
#[cfg(any(feature = "system", feature = "gpu"))]
pub(super) type SetUpSampler = Box<dyn FnOnce(SamplerBuilder) -> SamplerBuilder + Send>;

/// Builds a [`Telemetry`]. [`Telemetry::builder`] and [`from_settings`](Self::from_settings) return it.
#[must_use = "nothing happens before `install` or `build`"]
pub struct TelemetryBuilder {
    pub(super) settings: TelemetrySettings,
    pub(super) variables: Variables,
    pub(super) output: Output,
    pub(super) span_exporters: Vec<StartSpans>,
    pub(super) log_exporters: Vec<StartLogs>,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    pub(super) pending_pushes: Vec<PendingPush>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) sampler_set_ups: Vec<SetUpSampler>,
}

impl Telemetry {
    /// Returns a builder for a service with this name.
    pub fn builder(service_name: impl Into<String>) -> TelemetryBuilder {
        TelemetryBuilder::new(TelemetrySettings::new(service_name))
    }
}

impl TelemetryBuilder {
    /// Returns a builder with these settings. Its methods add what settings cannot hold, such as exporters.
    pub fn from_settings(settings: &TelemetrySettings) -> Self {
        Self::new(settings.clone())
    }

    fn new(settings: TelemetrySettings) -> Self {
        Self {
            settings,
            variables: Variables::default(),
            output: Output::default(),
            span_exporters: Vec::new(),
            log_exporters: Vec::new(),
            processors: Vec::new(),
            pending_pushes: Vec::new(),
            #[cfg(any(feature = "system", feature = "gpu"))]
            sampler_set_ups: Vec::new(),
        }
    }

    /// Changes any of the settings.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// use campanile::Telemetry;
    ///
    /// let telemetry = Telemetry::builder("checkout")
    ///     .configure(|settings| {
    ///         settings.batch.delay = Duration::from_secs(2);
    ///         settings.span_metric_fields = vec!["tenant".to_owned()];
    ///     })
    ///     .build()?;
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    pub fn configure(mut self, change: impl FnOnce(&mut TelemetrySettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Exports traces, metrics and logs over OTLP.
    ///
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` sets the collector. `OTEL_EXPORTER_OTLP_PROTOCOL` sets the protocol: `http/protobuf`,
    /// or `grpc` with the feature `otlp-grpc`. Default: HTTP to port 4318 of this machine.
    /// [`VARIABLES`](super::VARIABLES) lists all variables, and
    /// [`otlp_settings`](TelemetrySettings::otlp_settings) holds the same as settings.
    ///
    /// A collector that is down or slow never blocks the service. Exports that it refuses temporarily are retried.
    #[cfg(feature = "otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
    pub fn otlp(mut self) -> Self {
        self.settings.otlp = true;
        self
    }

    /// Exposes metrics to Prometheus, by [`Telemetry::prometheus_text`] and [`Telemetry::prometheus_service`].
    ///
    /// Names that differ in OpenTelemetry may be the same in Prometheus. The text still has each name and each series once:
    ///
    /// | the same in Prometheus | what is exposed |
    /// |---|---|
    /// | names of instruments, or the name of one and a sample of another (`x.count` and the histogram `x`) | Longer names for all of them, with the kind before the unit: `x_current`, `x_net`, `x_cumulative_total`, `x_distribution`. Digits follow if the kinds are the same. Metrics of this crate keep their names. |
    /// | one instrument in several scopes | One family, with the labels `otel_scope_name` and `otel_scope_version`, which metrics of this crate do not have. |
    /// | instruments of one name that differ in the description, the unit of a count or the number type | One family, with the label `otel_stream` and the first description. |
    /// | two attributes of one measurement (`a.b` and `a-b`) | One label, with the values joined by `;` in the order of the attributes' names. |
    /// | an attribute and a reserved label (`le`, `quantile`, `job`, `instance`, `otel_scope_…`) | The attribute gets the prefix `exported_`. |
    /// | all labels of two measurements (1 and `"1"`, or an empty text and none) | The same labels, plus `otel_attributes`. |
    ///
    /// The Prometheus and the OpenMetrics format have the same names and labels. They do not depend on any order, so
    /// the next scrape has the same. `campanile.telemetry.prometheus.collisions` counts each collision once, from the
    /// next scrape on, and a warning names it.
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    pub fn prometheus(mut self) -> Self {
        self.settings.prometheus = true;
        self
    }

    /// Samples the machine, its container, this process and its runtime at this interval, from 100 ms to one hour.
    ///
    /// This, [`gpu`](Self::gpu) and [`sampler`](Self::sampler) share one [sampler](crate::sampler). It starts and ends with
    /// the pipeline.
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn system(mut self, every: Duration) -> Self {
        self.settings.system = Some(every);
        self
    }

    /// Samples the GPUs at this interval, from 100 ms to one hour. On a machine without GPUs it costs next to nothing.
    #[cfg(feature = "gpu")]
    #[cfg_attr(docsrs, doc(cfg(feature = "gpu")))]
    pub fn gpu(mut self, every: Duration) -> Self {
        self.settings.gpu = Some(every);
        self
    }

    /// Sets the settings of the sampler. [`system`](Self::system) and `gpu` add to them, in any order, and their intervals
    /// win.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// use campanile::Telemetry;
    /// use campanile::sampler::SamplerSettings;
    ///
    /// let mut settings = SamplerSettings::default();
    /// settings.every = Duration::from_secs(30);
    /// let telemetry = Telemetry::builder("checkout").sampler(settings).build()?;
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    #[cfg(any(feature = "system", feature = "gpu"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "system", feature = "gpu"))))]
    pub fn sampler(mut self, settings: SamplerSettings) -> Self {
        self.settings.sampler = Some(settings);
        self
    }

    /// Sets what settings of the sampler cannot hold, on its [`SamplerBuilder`]. Without a sampler, `set_up` is not called.
    #[cfg(any(feature = "system", feature = "gpu"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "system", feature = "gpu"))))]
    pub fn sampler_with(
        mut self,
        set_up: impl FnOnce(SamplerBuilder) -> SamplerBuilder + Send + 'static,
    ) -> Self {
        self.sampler_set_ups.push(Box::new(set_up));
        self
    }

    setters! {
        /// Sets the console logs of `install`. Default: [`Console::Human`].
        pub fn console(console: Console) { settings.console = console; }
        /// Sets the sampling policy. Default: every trace, unless the caller has decided.
        pub fn sampling(sampling: Sampling) { settings.sampling = sampling; }
        /// Sets what is redacted in spans, events and logs, console logs included. Default: [`RedactionSettings::default`].
        ///
        /// # Example
        /// ```
        /// use campanile::Telemetry;
        /// use campanile::redact::RedactionSettings;
        ///
        /// let redaction = RedactionSettings::default().mask(["iban"]).leave(["page_token"]);
        /// let telemetry = Telemetry::builder("checkout").redaction(redaction).build()?;
        /// assert_eq!(telemetry.redactor().text("iban=DE02"), "iban=[redacted]");
        /// # Ok::<(), campanile::telemetry::TelemetryError>(())
        /// ```
        pub fn redaction(redaction: RedactionSettings) { settings.redaction = redaction; }
    }

    /// Writes console logs to `writer` instead of standard error, without colours.
    pub fn console_writer<W: io::Write + 'static>(
        mut self,
        writer: impl Fn() -> W + Send + Sync + 'static,
    ) -> Self {
        self.output = Output::new(writer);
        self
    }

    /// Sets the filter of the subscriber of `install`. Default: `info,opentelemetry=warn`.
    ///
    /// A span or event that it disables is in no log, trace, metric or health score.
    pub fn env_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.env_filter = directives.into();
        self
    }

    /// Sets the tail sampling policy: which traces are kept although [`sampling`](Self::sampling) would drop them.
    pub fn tail_sampling(mut self, tail_sampling: TailSampling) -> Self {
        self.settings.tail_sampling = Some(tail_sampling);
        self
    }

    /// Adds an attribute to the resource.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.attributes.insert(key.into(), value.into());
        self
    }

    /// Adds an exporter of spans. It gets batches on its own thread.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.span_exporters.push(span_exporter(exporter));
        self
    }

    /// Adds an exporter of log records. It gets batches on its own thread.
    pub fn log_exporter(mut self, exporter: impl LogExporter + 'static) -> Self {
        self.log_exporters.push(log_exporter(exporter));
        self
    }

    /// Adds a processor of finished spans. It runs on the thread that closes the span, and blocks it.
    ///
    /// `tracing` spans that the processor opens are disabled. Its events reach other layers, such as the console.
    /// `on_start` is called only for spans that are made through the OpenTelemetry API.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.processors.push(Arc::new(processor));
        self
    }

    /// Adds an exporter of metrics. It is called on its own thread.
    ///
    /// Prometheus and all exporters of cumulative sums share one aggregation. An exporter of deltas has its own.
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.pending_pushes.push(PendingPush::new(exporter));
        self
    }

    /// Reads all variables from `read` instead of the environment: `OTEL_*`, `RUST_LOG`, and those that name the platform.
    ///
    /// For tests, and for programs that keep the values elsewhere.
    pub fn variables(mut self, read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.variables = Variables::new(read);
        self
    }
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
