//! The variables of the OpenTelemetry specification: those that are read, and those that are not.

/// An `OTEL_*` variable that is read. An invalid value is an error that names the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name. If each signal has its own variable, this is the general one.
    pub name: &'static str,
    /// Whether traces, metrics and logs each have a variable that wins over the general one, such as
    /// `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT`.
    pub by_signal: bool,
    /// What it sets, and its values.
    pub meaning: &'static str,
    /// The value without the variable and without a setting of the code.
    pub default: &'static str,
}

impl Variable {
    /// Its names: the general one first, then those of traces, metrics and logs.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.to_owned()];
        if self.by_signal {
            let own = |signal| self.name.replacen("_OTLP_", &format!("_OTLP_{signal}_"), 1);
            names.extend(["TRACES", "METRICS", "LOGS"].map(own));
        }
        names
    }
}

macro_rules! variables {
    ($($name:ident $(($by_signal:ident))? $meaning:literal $default:literal;)*) => {
        /// Every `OTEL_*` variable that is read. Variables win over settings of the code. An empty variable counts as not
        /// set.
        pub static VARIABLES: &[Variable] = &[$(
            Variable {
                name: stringify!($name),
                by_signal: false $(|| stringify!($by_signal).len() > 0)?,
                meaning: $meaning,
                default: $default,
            },
        )*];
    };
}

variables! {
    OTEL_SDK_DISABLED "`true` turns traces, metrics and logs off. Health stays on." "`false`";
    OTEL_RESOURCE_ATTRIBUTES "Attributes of the resource: `key=value,key=value`, percent-encoded." "none";
    OTEL_SERVICE_NAME "`service.name` of the resource." "as set in the code";
    OTEL_LOG_LEVEL "Level of the pipeline's own logs: `off`, `error`, `warn`, `info`, `debug` or `trace`." "as `env_filter` and `RUST_LOG`";
    OTEL_PROPAGATORS "Formats of trace context, a list: `tracecontext`, `baggage`, `b3`, `b3multi`; or `none`." "`tracecontext,baggage`";
    OTEL_TRACES_SAMPLER "Sampler of traces: `always_on`, `always_off`, `traceidratio`, or one of these with the prefix `parentbased_`." "`parentbased_always_on`";
    OTEL_TRACES_SAMPLER_ARG "Share of traces that `traceidratio` keeps, from 0 to 1." "`1`";
    OTEL_TRACES_EXPORTER "Exporters of spans, a list: `otlp`, `console` (feature `stdout`); or `none`." "as set in the code";
    OTEL_METRICS_EXPORTER "Exporters of metrics, a list: `otlp`, `prometheus`, `console` (feature `stdout`); or `none`." "as set in the code";
    OTEL_LOGS_EXPORTER "Exporters of log records, a list: `otlp`, `console` (feature `stdout`); or `none`." "as set in the code";
    OTEL_BSP_SCHEDULE_DELAY "Maximum delay of the export of a span, in milliseconds." "`5000`";
    OTEL_BSP_EXPORT_TIMEOUT "Timeout of an export of spans, in milliseconds." "`30000`";
    OTEL_BSP_MAX_QUEUE_SIZE "Maximum number of spans in the queue." "`2048`";
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE "Maximum number of spans in one export." "`512`";
    OTEL_BLRP_SCHEDULE_DELAY "Maximum delay of the export of a log record, in milliseconds." "`1000`";
    OTEL_BLRP_EXPORT_TIMEOUT "Timeout of an export of log records, in milliseconds." "`30000`";
    OTEL_BLRP_MAX_QUEUE_SIZE "Maximum number of log records in the queue." "`2048`";
    OTEL_BLRP_MAX_EXPORT_BATCH_SIZE "Maximum number of log records in one export." "`512`";
    OTEL_ATTRIBUTE_COUNT_LIMIT "Maximum number of attributes of a span, event, link or log record. The variables below win." "`128`";
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT "Maximum length of a text value, in bytes. The variables below win." "`4096`";
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT "Maximum number of attributes of a span." "`128`";
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT "Maximum length of a text value of a span, in bytes." "`4096`";
    OTEL_SPAN_EVENT_COUNT_LIMIT "Maximum number of events of a span." "`128`";
    OTEL_SPAN_LINK_COUNT_LIMIT "Maximum number of links of a span." "`128`";
    OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT "Maximum number of attributes of an event." "`128`";
    OTEL_LINK_ATTRIBUTE_COUNT_LIMIT "Maximum number of attributes of a link." "`128`";
    OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT "Maximum number of attributes of a log record." "`128`";
    OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT "Maximum length of a text value of a log record, in bytes." "`4096`";
    OTEL_METRIC_EXPORT_INTERVAL "Interval between exports of metrics, in milliseconds." "`60000`";
    OTEL_METRIC_EXPORT_TIMEOUT "Timeout of an export of metrics, in milliseconds." "`30000`";
    OTEL_EXPORTER_OTLP_ENDPOINT (by_signal) "URL of the collector. Over HTTP, the path of each signal is appended to the general one, such as `/v1/traces`." "`http://localhost:4318`; for gRPC port 4317";
    OTEL_EXPORTER_OTLP_PROTOCOL (by_signal) "`http/protobuf`, or `grpc` with the feature `otlp-grpc`." "`http/protobuf`";
    OTEL_EXPORTER_OTLP_INSECURE (by_signal) "`true` disables TLS for gRPC, if the URL has neither `http:` nor `https:`." "`false`";
    OTEL_EXPORTER_OTLP_HEADERS (by_signal) "Headers of each export: `name=value,name=value`, percent-encoded. Never shown." "none";
    OTEL_EXPORTER_OTLP_COMPRESSION (by_signal) "`gzip` or `none`." "`none`";
    OTEL_EXPORTER_OTLP_TIMEOUT (by_signal) "Timeout of an export, including its retries, in milliseconds." "`10000`";
    OTEL_EXPORTER_OTLP_CERTIFICATE (by_signal) "Path to a PEM file of trusted CA certificates." "the system's CA certificates";
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE (by_signal) "Path to a PEM file with the client certificate." "none";
    OTEL_EXPORTER_OTLP_CLIENT_KEY (by_signal) "Path to a PEM file with the private key of the client certificate." "none";
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE "`cumulative`, `delta` or `lowmemory`." "`cumulative`";
    OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`. Prometheus text cannot represent the latter." "`explicit_bucket_histogram`";
}

/// The variables of the specification that are not read, and why.
pub static UNREAD_VARIABLES: &[(&str, &str)] = &[
    ("OTEL_CONFIG_FILE", "`TelemetrySettings` can be read from a file of any serde format instead."),
    ("OTEL_ENTITIES", "The SDK for Rust has no entities yet. Use resource attributes."),
    (
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "Your server serves `/metrics`, or `MetricsServer` (feature `serve`), which has settings of its own.",
    ),
    (
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "Your server serves `/metrics`, or `MetricsServer` (feature `serve`), which has settings of its own.",
    ),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "The crate has no Zipkin exporter. The collector has one."),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", "The crate has no Zipkin exporter. The collector has one."),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "Exemplars are always those of sampled spans (`trace_based`)."),
];
