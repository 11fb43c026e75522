//! The settings of the pipeline, as they stand in a file.

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

/// What a [`Telemetry`](super::Telemetry) is made from, as it stands in a file. `OTEL_*` variables win over it.
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

    /// The settings of the sampler, with the intervals of `system` and `gpu`; `None` for no sampler.
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
