//! The builder of the pipeline.

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

/// Gives the builder of the sampler what settings cannot hold.
#[cfg(any(feature = "system", feature = "gpu"))]
pub(super) type SetUpSampler = Box<dyn FnOnce(SamplerBuilder) -> SamplerBuilder + Send>;

/// Sets up a [`Telemetry`](super::Telemetry); from [`Telemetry::builder`](super::Telemetry::builder).
#[must_use = "nothing happens before `install` or `build`"]
pub struct TelemetryBuilder {
    pub(super) settings: TelemetrySettings,
    pub(super) variables: Variables,
    pub(super) output: Output,
    pub(super) span_exporters: Vec<StartSpans>,
    pub(super) log_exporters: Vec<StartLogs>,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    pub(super) outlets: Vec<PendingPush>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) sampler_set_ups: Vec<SetUpSampler>,
}

impl Telemetry {
    /// Starts to set up telemetry for the service of this name.
    pub fn builder(service_name: impl Into<String>) -> TelemetryBuilder {
        TelemetryBuilder::new(TelemetrySettings::new(service_name))
    }
}

impl TelemetryBuilder {
    /// Starts from `settings`. What they cannot hold, such as exporters, is added by the other methods.
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
            outlets: Vec::new(),
            #[cfg(any(feature = "system", feature = "gpu"))]
            sampler_set_ups: Vec::new(),
        }
    }

    /// Changes settings that have no method of their own here.
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
    /// The standard variables say where to and how, `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_PROTOCOL` first
    /// of all (`http/protobuf`, the default, or `grpc` with the feature `otlp-grpc`): see [`VARIABLES`](super::VARIABLES).
    /// Without them it is HTTP to port 4318 of this machine. A collector that is not
    /// there, or too slow, never holds anyone up; what it has to refuse for a moment is sent again.
    #[cfg(feature = "otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
    pub fn otlp(mut self) -> Self {
        self.settings.otlp = true;
        self
    }

    /// Keeps metrics for Prometheus: see [`Telemetry::prometheus_text`](super::Telemetry::prometheus_text) and
    /// [`Telemetry::prometheus_service`](super::Telemetry::prometheus_service).
    ///
    /// Whatever instruments and attributes are called, a scraper can read what it gets and each series is there once:
    ///
    /// | what is the same for Prometheus | what is exposed |
    /// |---|---|
    /// | names of instruments, or one and a part of another (`x.count` and the histogram `x`) | Longer names for all of them, with the kind before the unit: `x_current`, `x_net`, `x_cumulative_total`, `x_distribution`. Digits follow where the kind is the same. Metrics of this crate keep their names. |
    /// | an instrument of several scopes | One family, with the labels `otel_scope_name` and `otel_scope_version`; without them for this crate. |
    /// | instruments that differ in their descriptions, in counts of other things, or in the type of their numbers | One family, with the label `otel_stream`, and the first description. |
    /// | attributes of one measurement (`a.b` and `a-b`) | One label. It has the values joined by `;` in the order of the attributes' names. |
    /// | an attribute and a label that has a meaning (`le`, `quantile`, `job`, `instance`, `otel_scope_…`) | The attribute with `exported_` before it. |
    /// | the attributes of several measurements (1 and `"1"`, or an empty text and none) | Their labels, and for each the label `otel_attributes`. |
    ///
    /// Both formats have the same names and labels. None depends on the order of things, so that the next scrape has the
    /// same. `campanile.telemetry.prometheus.collisions` counts each collision once, from the next scrape on, and a warning
    /// names it.
    #[cfg(feature = "prometheus")]
    #[cfg_attr(docsrs, doc(cfg(feature = "prometheus")))]
    pub fn prometheus(mut self) -> Self {
        self.settings.prometheus = true;
        self
    }

    /// Samples the machine, its container, this process and its runtime at this interval, from 100 ms to one hour.
    ///
    /// One [sampler](crate::sampler) serves this, [`gpu`](Self::gpu) and [`sampler`](Self::sampler); it starts and
    /// ends with the pipeline.
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn system(mut self, every: Duration) -> Self {
        self.settings.system = Some(every);
        self
    }

    /// Samples the GPUs at this interval, from 100 ms to one hour. A machine without any costs next to nothing.
    #[cfg(feature = "gpu")]
    #[cfg_attr(docsrs, doc(cfg(feature = "gpu")))]
    pub fn gpu(mut self, every: Duration) -> Self {
        self.settings.gpu = Some(every);
        self
    }

    /// What is sampled, and how, in detail. [`system`](Self::system) and `gpu` add to it, before or after, and their
    /// intervals win.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// use campanile::Telemetry;
    /// use campanile::sampler::SamplerSettings;
    ///
    /// let settings = SamplerSettings::every(Duration::from_secs(30));
    /// let telemetry = Telemetry::builder("checkout").sampler(settings).build()?;
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    #[cfg(any(feature = "system", feature = "gpu"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "system", feature = "gpu"))))]
    pub fn sampler(mut self, settings: SamplerSettings) -> Self {
        self.settings.sampler = Some(settings);
        self
    }

    /// Gives the sampler what settings cannot hold: see [`SamplerBuilder`]. Without a sampler nothing is done.
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
        /// How `install` writes logs to the console: [`Console::Human`] unless told otherwise.
        pub fn console(console: Console) { settings.console = console; }
        /// Which traces are kept: all of them, unless a caller has decided otherwise, or this says so.
        pub fn sampling(sampling: Sampling) { settings.sampling = sampling; }
        /// What is redacted in spans, events and logs before anything leaves, the console included:
        /// [`RedactionSettings::default`] unless told otherwise.
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

    /// Writes logs to `writer` and not to standard error, without colours.
    pub fn console_writer<W: io::Write + 'static>(
        mut self,
        writer: impl Fn() -> W + Send + Sync + 'static,
    ) -> Self {
        self.output = Output::new(writer);
        self
    }

    /// Which spans and events the subscriber of `install` looks at: `info,opentelemetry=warn` unless told otherwise.
    ///
    /// What it leaves out is in no log, trace, metric or health score.
    pub fn env_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.env_filter = directives.into();
        self
    }

    /// Keeps traces that turn out to matter although [`sampling`](Self::sampling) would drop them.
    pub fn tail_sampling(mut self, tail_sampling: TailSampling) -> Self {
        self.settings.tail_sampling = Some(tail_sampling);
        self
    }

    /// Adds an attribute to the resource.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.attributes.insert(key.into(), value.into());
        self
    }

    /// Hands finished spans to one more exporter, in batches, from a thread of its own.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.span_exporters.push(span_exporter(exporter));
        self
    }

    /// Hands log records to one more exporter, in batches, from a thread of its own.
    pub fn log_exporter(mut self, exporter: impl LogExporter + 'static) -> Self {
        self.log_exporters.push(log_exporter(exporter));
        self
    }

    /// Hands finished spans to one more processor, on the thread that closes the span.
    ///
    /// It holds that thread up for as long as it takes. `tracing` spans that it opens are disabled, its logs are
    /// not. Its `on_start` hears of spans made through the OpenTelemetry API alone.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.processors.push(Arc::new(processor));
        self
    }

    /// Sends metrics to one more exporter, from a thread of its own.
    ///
    /// All who want totals share one aggregation, with Prometheus among them; one that prefers differences costs a
    /// second one.
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.outlets.push(PendingPush::new(exporter));
        self
    }

    /// Reads `OTEL_*` variables, `RUST_LOG` and those by which platforms are known from `read`, and not from the
    /// environment.
    ///
    /// For tests and for values that live elsewhere.
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
