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
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchSettings};
use super::choice::log_exporter;
use super::console::{Console, Output};
use super::counters::Counters;
use super::limits::SpanLimits;
use super::logs::{Entry, LogSettings};
use super::metrics::PendingPush;
use super::otlp::OtlpSettings;
use super::sampling::{Sampling, TailSampling};
use super::variables::Variables;
use crate::base::error::ConfigError;
use crate::base::redact::RedactionSettings;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::{SamplerBuilder, SamplerSettings};

/// What a [`Telemetry`](super::Telemetry) is made from, as it stands in a file. `OTEL_*` variables win over it.
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
    /// under the attribute `otel.metric.overflow`. From 1 to 100,000; 900. Each may have 18 series, by kind of failure.
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
    /// Whether errors are recorded on spans as `tracing-opentelemetry` does it. `false`.
    ///
    /// If so, an event with an error is called `exception`, with its message as the attribute `message`; the
    /// `exception.*` attributes of the last one are attributes of the span too; and `otel.status_description` without
    /// `otel.status_code` fails the span. If not, the event is called after its message. In either case it has the
    /// `exception.*` attributes, and so has its log record, which is where the semantic conventions want exceptions since
    /// [those for spans are deprecated](https://opentelemetry.io/docs/specs/semconv/exceptions/).
    #[serde(default)]
    pub exception_events: bool,
    /// Whether to find out about the machine, the process, its container, its pod and its cloud, for the resource.
    #[serde(default = "yes")]
    pub detection: bool,
    /// Attributes of the resource; they win over what is found out, and variables over them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// How often metrics are sent. `OTEL_METRIC_EXPORT_INTERVAL` wins over it.
    #[serde(default = "minute", with = "crate::base::duration")]
    pub metrics_every: Duration,
    /// The longest that one export of metrics may take. `OTEL_METRIC_EXPORT_TIMEOUT` wins over it. 30 s.
    #[serde(default = "half_a_minute", with = "crate::base::duration")]
    pub metrics_timeout: Duration,
    /// How often the machine is sampled, if at all: from 100 ms to one hour. Needs the feature `system`.
    #[serde(default, with = "crate::base::duration::option")]
    pub system: Option<Duration>,
    /// How often the GPUs are sampled, if at all: from 100 ms to one hour. Needs the feature `gpu`.
    #[serde(default, with = "crate::base::duration::option")]
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
        let name = [("service_name", service_name.into())].into_iter();
        let settings: Result<_, serde::de::value::Error> = Self::deserialize(MapDeserializer::new(name));
        settings.unwrap_or_else(|error| unreachable!("every other setting has a default: {error}"))
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
            #[cfg(any(feature = "system", feature = "gpu"))]
            set_ups: Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            !self.service_name.trim().is_empty(),
            "service_name",
            &self.service_name,
            "the name of the service",
        )?;
        for (setting, given, there) in [
            ("otlp", self.otlp, cfg!(feature = "otlp")),
            ("prometheus", self.prometheus, cfg!(feature = "prometheus")),
            ("system", self.system.is_some(), cfg!(feature = "system")),
            ("gpu", self.gpu.is_some(), cfg!(feature = "gpu")),
        ] {
            if given && !there {
                let allowed = format!("campanile is built without the feature `{setting}`");
                return Err(ConfigError::new(setting, "\"on\"", allowed));
            }
        }
        #[cfg(any(feature = "system", feature = "gpu"))]
        super::machine::check(self)?;
        self.otlp_settings.check()?;
        self.sampling.check()?;
        self.tail_sampling.map_or(Ok(()), |tail| tail.check())?;
        self.batch.check()?;
        let fits = (1..=100_000).contains(&self.span_names);
        ConfigError::check(fits, "span_names", self.span_names, "from 1 to 100000")?;
        for (setting, time) in
            [("metrics_every", self.metrics_every), ("metrics_timeout", self.metrics_timeout)]
        {
            ConfigError::check(!time.is_zero(), setting, time, "more than zero")?;
        }
        Ok(())
    }
}

type StartExporter = Box<dyn FnOnce(BatchSettings, &Arc<Counters>, &Resource) -> io::Result<Batch> + Send>;
pub(super) type StartLogs =
    Box<dyn FnOnce(&LogSettings, bool, &Arc<Counters>, &Resource) -> io::Result<Batch<Entry>> + Send>;

/// Sets up a [`Telemetry`](super::Telemetry); from [`Telemetry::builder`](super::Telemetry::builder).
#[must_use = "nothing happens before `install` or `build`"]
pub struct TelemetryBuilder {
    pub(super) settings: TelemetrySettings,
    pub(super) variables: Variables,
    pub(super) output: Output,
    pub(super) exporters: Vec<StartExporter>,
    pub(super) log_exporters: Vec<StartLogs>,
    pub(super) processors: Vec<Arc<dyn SpanProcessor>>,
    pub(super) outlets: Vec<PendingPush>,
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) set_ups: Vec<super::machine::SetUp>,
}

impl TelemetryBuilder {
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

    /// As [`otlp`](Self::otlp), to where the code says and as it says; the variables win.
    #[cfg(feature = "otlp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
    pub fn otlp_with(mut self, settings: OtlpSettings) -> Self {
        self.settings.otlp_settings = settings;
        self.otlp()
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
        self.set_ups.push(Box::new(set_up));
        self
    }

    setters! {
        /// How `install` writes logs to the console: [`Console::Human`] unless told otherwise.
        pub fn console(console: Console) { settings.console = console; }
        /// Which traces are kept: all of them, unless a caller has decided otherwise, or this says so.
        pub fn sampling(sampling: Sampling) { settings.sampling = sampling; }
        /// Whether to find out about the machine, the process, its container, its pod and its cloud, for the resource.
        /// It does unless told otherwise; no network is asked.
        pub fn detection(detection: bool) { settings.detection = detection; }
        /// What one span may hold.
        pub fn limits(limits: SpanLimits) { settings.limits = limits; }
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
        /// How spans wait for their export.
        pub fn batch(batch: BatchSettings) { settings.batch = batch; }
        /// Which events become log records, what one may hold, and how they wait for their export.
        ///
        /// Records are made as soon as there is somewhere to send them: by [`otlp`](Self::otlp),
        /// [`log_exporter`](Self::log_exporter) or `OTEL_LOGS_EXPORTER`.
        pub fn logs(logs: LogSettings) { settings.logs = logs; }
        /// How many pairs of component and span name have metrics of their own.
        pub fn span_names(span_names: usize) { settings.span_names = span_names; }
        /// Whether sampled spans say how long they were entered and how long not. They do not unless told otherwise.
        pub fn busy_and_idle(busy_and_idle: bool) { settings.busy_and_idle = busy_and_idle; }
        /// Whether entering a span makes it the active one of OpenTelemetry. It does unless told otherwise.
        pub fn activation(activation: bool) { settings.activation = activation; }
        /// Whether spans say where in the code they stand. They do unless told otherwise.
        pub fn code_attributes(code_attributes: bool) { settings.code_attributes = code_attributes; }
        /// Whether errors are recorded on spans as `tracing-opentelemetry` does it: see
        /// [`exception_events`](TelemetrySettings::exception_events). They are not unless told otherwise.
        pub fn exception_events(exception_events: bool) { settings.exception_events = exception_events; }
        /// The longest that one export of metrics may take.
        pub fn metrics_timeout(metrics_timeout: Duration) { settings.metrics_timeout = metrics_timeout; }
        /// How often metrics are sent.
        pub fn metrics_every(metrics_every: Duration) { settings.metrics_every = metrics_every; }
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

    /// The version of the service: the attribute `service.version` of the resource.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.attribute("service.version", version)
    }

    /// Makes fields of spans attributes of their metrics as well. Each value makes metrics of its own: take fields of
    /// few values.
    ///
    /// A field that is called like an attribute that these metrics have already (`component`, `span.name`, `error.type`),
    /// or like another field, as far as Prometheus can tell, has `field.` before its name there.
    pub fn span_metric_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.settings.span_metric_fields = names.into_iter().map(Into::into).collect();
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
