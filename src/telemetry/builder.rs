//! Settings of the pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::LogExporter;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanExporter, SpanProcessor};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchSettings};
use super::choice::log_exporter;
use super::console::{Console, Output};
use super::counters::Counters;
use super::error::TelemetryError;
use super::limits::SpanLimits;
use super::logs::{Entry, LogSettings};
use super::machine::{self, MachineBuilder};
use super::metrics::Outlet;
use super::otlp::OtlpSettings;
use super::pipeline::Telemetry;
use super::sampling::{Sampling, TailSampling};
use super::variables::Variables;
use crate::error::ConfigError;
use crate::redact::RedactionSettings;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::{SamplerBuilder, SamplerSettings};

/// What a [`Telemetry`] is made from, as it stands in a file. `OTEL_*` variables win over it.
///
/// # Example
/// ```
/// use campanile::telemetry::TelemetrySettings;
///
/// let settings: TelemetrySettings =
///     serde_json::from_str(r#"{"service_name": "checkout", "console": "json", "sampling": {"ratio": 0.1}}"#)?;
/// let telemetry = settings.builder().build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TelemetrySettings {
    /// The name of the service.
    pub service_name: String,
    /// Whether to export over OTLP. Needs the feature `otlp`.
    #[serde(default)]
    pub otlp: bool,
    /// Where OTLP goes and how. `OTEL_EXPORTER_OTLP_*` variables win over each part of it.
    #[serde(default)]
    pub otlp_settings: OtlpSettings,
    /// Whether to keep metrics for Prometheus. Needs the feature `prometheus`.
    #[serde(default)]
    pub prometheus: bool,
    /// How logs are written to the console, by `install`.
    #[serde(default)]
    pub console: Console,
    /// Which spans and events are looked at, by `install`: directives such as `info,sqlx=warn`. `RUST_LOG` wins
    /// over it.
    #[serde(default = "info")]
    pub env_filter: String,
    /// Which traces are kept.
    #[serde(default)]
    pub sampling: Sampling,
    /// Which traces are kept although `sampling` would drop them: none.
    #[serde(default)]
    pub tail_sampling: Option<TailSampling>,
    /// What one span may hold.
    #[serde(default)]
    pub limits: SpanLimits,
    /// What is redacted in spans, events and logs.
    #[serde(default)]
    pub redaction: RedactionSettings,
    /// How spans wait for their export.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Which events become log records, what one may hold, and how they wait for their export.
    #[serde(default)]
    pub logs: LogSettings,
    /// How many pairs of component and span name have metrics of their own. More of them are counted together,
    /// under the attribute `otel.metric.overflow`. 900, which leaves the SDK's limit of 2,000 series alone.
    #[serde(default = "span_names")]
    pub span_names: usize,
    /// Fields of spans that are attributes of their metrics as well. Each value makes metrics of its own, out of
    /// the same number: take fields of few values.
    #[serde(default)]
    pub span_metric_fields: Vec<String>,
    /// Whether entering a span makes it the active one of OpenTelemetry, so that its own spans and its log
    /// appenders find their parent. Costs a little at each enter.
    #[serde(default = "yes")]
    pub activation: bool,
    /// Whether sampled spans say how long they were entered and how long not, as `busy_ns` and `idle_ns`. Costs two
    /// readings of the clock at each enter.
    #[serde(default)]
    pub busy_and_idle: bool,
    /// Whether spans say where in the code they stand.
    #[serde(default = "yes")]
    pub code_attributes: bool,
    /// Whether to find out about the machine, the process, its container, its pod and its cloud, for the resource.
    #[serde(default = "yes")]
    pub detection: bool,
    /// Attributes of the resource; they win over what is found out, and variables over them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// How often metrics are sent. `OTEL_METRIC_EXPORT_INTERVAL` wins over it.
    #[serde(default = "minute", with = "crate::duration")]
    pub metrics_every: Duration,
    /// The longest that one export of metrics may take. `OTEL_METRIC_EXPORT_TIMEOUT` wins over it. 30 s.
    #[serde(default = "half_a_minute", with = "crate::duration")]
    pub metrics_timeout: Duration,
    /// How often the machine is sampled, if at all: from 100 ms to one hour. Needs the feature `system`.
    #[serde(default, with = "crate::duration::option")]
    pub system: Option<Duration>,
    /// How often the GPUs are sampled, if at all: from 100 ms to one hour. Needs the feature `gpu`.
    #[serde(default, with = "crate::duration::option")]
    pub gpu: Option<Duration>,
    /// What is sampled, and how, in detail. `system` and `gpu` add to it, and their intervals win. Needs one of the
    /// features `system` and `gpu`.
    #[cfg(any(feature = "system", feature = "gpu"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "system", feature = "gpu"))))]
    #[serde(default)]
    pub sampler: Option<SamplerSettings>,
}

fn info() -> String {
    "info,opentelemetry=warn".to_owned()
}

fn span_names() -> usize {
    900
}

fn yes() -> bool {
    true
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

impl TelemetrySettings {
    /// The defaults, for a service of this name: traces, metrics and health in the process, and nothing sent.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            otlp: false,
            otlp_settings: OtlpSettings::default(),
            prometheus: false,
            console: Console::default(),
            env_filter: info(),
            sampling: Sampling::default(),
            tail_sampling: None,
            limits: SpanLimits::default(),
            redaction: RedactionSettings::default(),
            batch: BatchSettings::default(),
            logs: LogSettings::default(),
            span_names: span_names(),
            span_metric_fields: Vec::new(),
            activation: true,
            busy_and_idle: false,
            code_attributes: true,
            detection: true,
            attributes: BTreeMap::new(),
            metrics_every: minute(),
            metrics_timeout: half_a_minute(),
            system: None,
            gpu: None,
            #[cfg(any(feature = "system", feature = "gpu"))]
            sampler: None,
        }
    }

    /// A builder that starts from these settings.
    pub fn builder(self) -> TelemetryBuilder {
        TelemetryBuilder {
            settings: self,
            variables: Variables::default(),
            output: Output::default(),
            exporters: Vec::new(),
            log_exporters: Vec::new(),
            processors: Vec::new(),
            outlets: Vec::new(),
            machine: MachineBuilder::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let given = |given: bool, feature: bool, setting: &'static str, allowed: &'static str| {
            ConfigError::check(!given || feature, setting, "on", allowed)
        };
        ConfigError::check(
            !self.service_name.trim().is_empty(),
            "service_name",
            &self.service_name,
            "the name of the service",
        )?;
        given(self.otlp, cfg!(feature = "otlp"), "otlp", "campanile is built without the feature `otlp`")?;
        given(
            self.prometheus,
            cfg!(feature = "prometheus"),
            "prometheus",
            "campanile is built without the feature `prometheus`",
        )?;
        machine::check(self)?;
        self.otlp_settings.check()?;
        self.sampling.check()?;
        self.tail_sampling.map_or(Ok(()), |tail| tail.check())?;
        self.batch.check()?;
        ConfigError::check(
            (1..=100_000).contains(&self.span_names),
            "span_names",
            self.span_names,
            "from 1 to 100000",
        )?;
        ConfigError::check(
            !self.metrics_every.is_zero(),
            "metrics_every",
            self.metrics_every,
            "more than zero",
        )?;
        ConfigError::check(
            !self.metrics_timeout.is_zero(),
            "metrics_timeout",
            self.metrics_timeout,
            "more than zero",
        )
    }
}

type StartExporter = Box<dyn FnOnce(BatchSettings, &Arc<Counters>, &Resource) -> io::Result<Batch> + Send>;
pub(super) type StartLogs =
    Box<dyn FnOnce(&LogSettings, bool, &Arc<Counters>, &Resource) -> io::Result<Batch<Entry>> + Send>;

/// Sets up a [`Telemetry`]; from [`Telemetry::builder`].
#[must_use = "nothing happens before `install` or `build`"]
pub struct TelemetryBuilder {
    pub(super) settings: TelemetrySettings,
    pub(super) variables: Variables,
    pub(super) output: Output,
    pub(super) exporters: Vec<StartExporter>,
    pub(super) log_exporters: Vec<StartLogs>,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    pub(super) outlets: Vec<Outlet>,
    pub(super) machine: MachineBuilder,
}

impl TelemetryBuilder {
    /// Exports traces, metrics and logs over OTLP.
    ///
    /// Where to and how is said by the standard variables, `OTEL_EXPORTER_OTLP_ENDPOINT` and
    /// `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/protobuf`, the default, or `grpc`) first of all: see
    /// [`VARIABLES`](super::VARIABLES). Without them it is HTTP to port 4318 of this machine. A collector that is not
    /// there, or too slow, never holds anyone up; what it has to refuse for a moment is sent again.
    #[cfg(feature = "otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
    pub fn otlp(mut self) -> Self {
        self.settings.otlp = true;
        self
    }

    /// As [`otlp`](Self::otlp), to where the code says and as it says; the variables win.
    #[cfg(feature = "otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
    pub fn otlp_with(mut self, settings: OtlpSettings) -> Self {
        self.settings.otlp_settings = settings;
        self.otlp()
    }

    /// Keeps metrics for Prometheus: see [`Telemetry::prometheus_text`] and
    /// [`Telemetry::prometheus_service`].
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
        self.machine.set_up.push(Box::new(set_up));
        self
    }

    /// How `install` writes logs to the console: [`Console::Human`] unless told otherwise.
    pub fn console(mut self, console: Console) -> Self {
        self.settings.console = console;
        self
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
    /// What it leaves out exists for nobody: not for logs, traces, metrics or health.
    pub fn env_filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.env_filter = directives.into();
        self
    }

    /// Which traces are kept: all of them, unless a caller has decided otherwise, or this says so.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.settings.sampling = sampling;
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

    /// The version of the service: the attribute `service.version` of the resource.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.attribute("service.version", version)
    }

    /// Whether to find out about the machine, the process, its container, its pod and its cloud, for the resource.
    /// It does unless told otherwise; no network is asked.
    pub fn detection(mut self, detection: bool) -> Self {
        self.settings.detection = detection;
        self
    }

    /// What one span may hold.
    pub fn limits(mut self, limits: SpanLimits) -> Self {
        self.settings.limits = limits;
        self
    }

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
    pub fn redaction(mut self, redaction: RedactionSettings) -> Self {
        self.settings.redaction = redaction;
        self
    }

    /// How spans wait for their export.
    pub fn batch(mut self, batch: BatchSettings) -> Self {
        self.settings.batch = batch;
        self
    }

    /// Which events become log records, what one may hold, and how they wait for their export.
    ///
    /// Records are made as soon as there is somewhere to send them: by [`otlp`](Self::otlp),
    /// [`log_exporter`](Self::log_exporter) or `OTEL_LOGS_EXPORTER`.
    pub fn logs(mut self, logs: LogSettings) -> Self {
        self.settings.logs = logs;
        self
    }

    /// How many pairs of component and span name have metrics of their own.
    pub fn span_names(mut self, pairs: usize) -> Self {
        self.settings.span_names = pairs;
        self
    }

    /// Makes fields of spans attributes of their metrics as well. Each value makes metrics of its own: take fields of
    /// few values.
    pub fn span_metric_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.settings.span_metric_fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether sampled spans say how long they were entered and how long not. They do not unless told otherwise.
    pub fn busy_and_idle(mut self, busy_and_idle: bool) -> Self {
        self.settings.busy_and_idle = busy_and_idle;
        self
    }

    /// Whether entering a span makes it the active one of OpenTelemetry. It does unless told otherwise.
    pub fn activation(mut self, activation: bool) -> Self {
        self.settings.activation = activation;
        self
    }

    /// Whether spans say where in the code they stand. They do unless told otherwise.
    pub fn code_attributes(mut self, code_attributes: bool) -> Self {
        self.settings.code_attributes = code_attributes;
        self
    }

    /// The longest that one export of metrics may take.
    pub fn metrics_timeout(mut self, timeout: Duration) -> Self {
        self.settings.metrics_timeout = timeout;
        self
    }

    /// How often metrics are sent.
    pub fn metrics_every(mut self, every: Duration) -> Self {
        self.settings.metrics_every = every;
        self
    }

    /// Hands finished spans to one more exporter, in batches, from a thread of its own.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.exporters.push(Box::new(move |settings, counters, resource| {
            let mut exporter = exporter;
            exporter.set_resource(resource);
            Batch::start(exporter, settings, Arc::clone(counters))
        }));
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
        self.outlets.push(Outlet::new(exporter));
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

    /// Starts the pipeline and makes it that of the process: the global `tracing` subscriber, the global
    /// OpenTelemetry providers and propagator, and the metrics of every layer.
    ///
    /// It may be called from any runtime, or from none.
    ///
    /// # Errors
    /// [`TelemetryError::Setting`] for a setting or a variable that cannot be used,
    /// [`TelemetryError::SubscriberSet`] if there is a global subscriber already,
    /// [`TelemetryError::Exporter`] for an endpoint that cannot be one. That nobody answers there is no error.
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
        Telemetry::install(self)
    }

    /// Starts the pipeline and leaves every global alone: for a subscriber of one's own, and for tests.
    ///
    /// Timings of layers, which go to the pipeline that was installed, do not go to this one.
    ///
    /// # Errors
    /// As [`install`](Self::install).
    pub fn build(self) -> Result<Telemetry, TelemetryError> {
        Telemetry::build(self)
    }
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
