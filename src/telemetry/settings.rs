//! The settings of a pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};

use super::batch::BatchSettings;
use super::console::Console;
use super::limits::SpanLimits;
use super::logs::LogSettings;
use super::otlp::OtlpSettings;
use super::sampling::{Sampling, TailSampling};
use crate::base::error::ConfigError;
use crate::base::redact::RedactionSettings;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::{SamplerSettings, check_interval};

/// The settings of a [`Telemetry`](super::Telemetry), for files in any serde format. `OTEL_*` variables win over them.
///
/// # Example
/// ```
/// use campanile::telemetry::{TelemetryBuilder, TelemetrySettings};
///
/// let settings: TelemetrySettings =
///     serde_json::from_str(r#"{"service_name": "checkout", "console": "json", "sampling": {"ratio": 0.1}}"#)?;
/// let telemetry = TelemetryBuilder::from_settings(&settings).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TelemetrySettings {
    /// The name of the service.
    pub service_name: String,
    /// Whether to export over OTLP. Needs the feature `otlp`. Default: `false`.
    #[serde(default)]
    pub otlp: bool,
    /// Settings of OTLP. `OTEL_EXPORTER_OTLP_*` variables win over each of them.
    #[serde(default)]
    pub otlp_settings: OtlpSettings,
    /// Whether to expose metrics to Prometheus. Needs the feature `prometheus`. Default: `false`.
    #[serde(default)]
    pub prometheus: bool,
    /// Format of the console logs of `install`. Default: [`Console::Human`].
    #[serde(default)]
    pub console: Console,
    /// Filter of the subscriber of `install`, such as `info,sqlx=warn`. `RUST_LOG` wins over it. Default:
    /// `info,opentelemetry=warn`.
    #[serde(default = "info")]
    pub env_filter: String,
    /// Sampling policy. Default: every trace, unless the caller has decided.
    #[serde(default)]
    pub sampling: Sampling,
    /// Tail sampling policy: which traces are kept although `sampling` would drop them. Default: `None`.
    #[serde(default)]
    pub tail_sampling: Option<TailSampling>,
    /// Limits of a span.
    #[serde(default)]
    pub limits: SpanLimits,
    /// Redaction of spans, events and logs, console logs included.
    #[serde(default)]
    pub redaction: RedactionSettings,
    /// Queue of spans to export.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Log records: their level, limits and queue. Events become log records if there is an exporter of them.
    #[serde(default)]
    pub logs: LogSettings,
    /// Maximum number of pairs of component and span name with separate metrics, from 1 to 100,000. Further pairs are
    /// counted together, with the attribute `otel.metric.overflow`. Each pair may have 18 series, one for each type of
    /// error. Default: 900.
    #[serde(default = "span_names")]
    pub span_names: usize,
    /// Fields of spans that are also attributes of their metrics. Each value needs one of `span_names`, so choose fields
    /// with few values. Default: none.
    ///
    /// A field with the name of an existing attribute of these metrics (`component`, `span.name`, `error.type`), or
    /// with the name of another field in Prometheus, gets the prefix `field.`.
    #[serde(default)]
    pub span_metric_fields: Vec<String>,
    /// Whether an entered span is the active span of OpenTelemetry, so that spans and log records of the OpenTelemetry API
    /// have the right parent. It costs a little for each enter. Default: `true`.
    #[serde(default = "yes")]
    pub activation: bool,
    /// Whether sampled spans have the attributes `busy_ns` and `idle_ns`: how long they were entered, and how long not. It
    /// costs two readings of the clock for each enter. Default: `false`.
    #[serde(default)]
    pub busy_and_idle: bool,
    /// Whether spans and log records have the attributes `code.*`: their place in the source. Default: `true`.
    #[serde(default = "yes")]
    pub code_attributes: bool,
    /// Whether spans record errors as `tracing-opentelemetry` does. Default: `false`.
    ///
    /// An event with an error has the attributes `exception.*` in either case, and so has its log record. With `true`, the
    /// event of the span is named `exception` and has its message as the attribute `message`; the span gets the attributes
    /// `exception.*` of its last error; and `otel.status_description` without `otel.status_code` fails the span. With
    /// `false`, the event is named by its message. The semantic conventions record exceptions as log records;
    /// [exceptions on spans are deprecated](https://opentelemetry.io/docs/specs/semconv/exceptions/).
    #[serde(default)]
    pub exception_events: bool,
    /// Whether the resource describes the machine, the process, its container, its pod and its cloud. Detection uses no
    /// network. Default: `true`.
    #[serde(default = "yes")]
    pub detection: bool,
    /// Attributes of the resource. They win over detected ones, and variables win over them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Interval between exports of metrics. `OTEL_METRIC_EXPORT_INTERVAL` wins over it. Default: one minute.
    #[serde(default = "minute", with = "crate::base::duration")]
    pub metrics_every: Duration,
    /// Timeout of an export of metrics. `OTEL_METRIC_EXPORT_TIMEOUT` wins over it. Default: 30 s.
    #[serde(default = "half_a_minute", with = "crate::base::duration")]
    pub metrics_timeout: Duration,
    /// Interval between samples of the machine, from 100 ms to one hour. Default: `None`, no samples. Needs the feature
    /// `system`.
    #[serde(default, with = "crate::base::duration::option")]
    pub system: Option<Duration>,
    /// Interval between samples of the GPUs, from 100 ms to one hour. Default: `None`, no samples. Needs the feature `gpu`.
    #[serde(default, with = "crate::base::duration::option")]
    pub gpu: Option<Duration>,
    /// Settings of the sampler. `system` and `gpu` add to them, and their intervals win. Needs one of the features `system`
    /// and `gpu`.
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
    /// Returns the defaults for a service with this name. They export nothing.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        let name = [("service_name", service_name.into())].into_iter();
        let settings: Result<_, serde::de::value::Error> = Self::deserialize(MapDeserializer::new(name));
        settings.unwrap_or_else(|error| unreachable!("every other setting has a default: {error}"))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            !self.service_name.trim().is_empty(),
            "service_name",
            &self.service_name,
            "a name that is not blank",
        )?;
        for (setting, wanted, available) in [
            ("otlp", self.otlp, cfg!(feature = "otlp")),
            ("prometheus", self.prometheus, cfg!(feature = "prometheus")),
            ("system", self.system.is_some(), cfg!(feature = "system")),
            ("gpu", self.gpu.is_some(), cfg!(feature = "gpu")),
        ] {
            if wanted && !available {
                let reason = format!("it needs the feature `{setting}` of campanile, which is off");
                return Err(ConfigError::because(setting, "on", reason));
            }
        }
        #[cfg(any(feature = "system", feature = "gpu"))]
        {
            for (setting, every) in [("system", self.system), ("gpu", self.gpu)] {
                every.map_or(Ok(()), |every| check_interval(setting, every))?;
            }
            self.sampler_settings().map_or(Ok(()), |sampler| sampler.validate())?;
        }
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

    /// The settings of the sampler with the intervals of `system` and `gpu`, or `None` if none of the three is set.
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) fn sampler_settings(&self) -> Option<SamplerSettings> {
        if self.sampler.is_none() && self.system.is_none() && self.gpu.is_none() {
            return None;
        }
        let mut sampler = self.sampler.clone().unwrap_or_else(SamplerSettings::nothing);
        #[cfg(feature = "system")]
        if self.system.is_some() {
            sampler.system.get_or_insert_default().every = self.system;
        }
        #[cfg(feature = "gpu")]
        if self.gpu.is_some() {
            sampler.gpu.get_or_insert_default().every = self.gpu;
        }
        Some(sampler)
    }
}
