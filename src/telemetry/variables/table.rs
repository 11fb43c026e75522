//! Every variable of the OpenTelemetry specification, read or not.

/// An `OTEL_*` variable that is read. A value that cannot be used is an error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name; that for all signals, where each of them has one too.
    pub name: &'static str,
    /// Whether traces, metrics and logs each have one of their own that wins over this, such as
    /// `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT`.
    pub by_signal: bool,
    /// What it decides.
    pub meaning: &'static str,
    /// What holds without it, and without a setting of the code.
    pub default: &'static str,
}

impl Variable {
    /// Its names: that for all signals first, then those of each.
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
        /// Every `OTEL_*` variable that is read. They win over what the code says, and an empty one counts as not
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
    OTEL_SDK_DISABLED "`true` ends traces, metrics and logs; health goes on." "`false`";
    OTEL_RESOURCE_ATTRIBUTES "Attributes of the resource: `key=value,key=value`, percent-encoded." "none";
    OTEL_SERVICE_NAME "`service.name` of the resource." "what the code says";
    OTEL_LOG_LEVEL "Which logs of the pipeline itself `install` lets through: `off`, `error`, `warn`, `info`, `debug` or `trace`." "as `env_filter` and `RUST_LOG` say";
    OTEL_PROPAGATORS "Formats of trace context: a list of `tracecontext`, `baggage`, `b3` and `b3multi`, or `none`." "`tracecontext,baggage`";
    OTEL_TRACES_SAMPLER "Which traces are kept: `always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`." "`parentbased_always_on`";
    OTEL_TRACES_SAMPLER_ARG "The share that `traceidratio` keeps, from 0 to 1." "`1`";
    OTEL_TRACES_EXPORTER "Where spans go: a list of `otlp` and `console` (feature `stdout`), or `none`." "what the code says";
    OTEL_METRICS_EXPORTER "Where metrics go: a list of `otlp`, `prometheus` and `console` (feature `stdout`), or `none`." "what the code says";
    OTEL_LOGS_EXPORTER "Where log records go: a list of `otlp` and `console` (feature `stdout`), or `none`." "what the code says";
    OTEL_BSP_SCHEDULE_DELAY "Milliseconds that a span waits at most for its export." "`5000`";
    OTEL_BSP_EXPORT_TIMEOUT "Milliseconds that an export of spans may take." "`30000`";
    OTEL_BSP_MAX_QUEUE_SIZE "Spans that may wait." "`2048`";
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE "Spans in one export." "`512`";
    OTEL_BLRP_SCHEDULE_DELAY "Milliseconds that a log record waits at most for its export." "`1000`";
    OTEL_BLRP_EXPORT_TIMEOUT "Milliseconds that an export of log records may take." "`30000`";
    OTEL_BLRP_MAX_QUEUE_SIZE "Log records that may wait." "`2048`";
    OTEL_BLRP_MAX_EXPORT_BATCH_SIZE "Log records in one export." "`512`";
    OTEL_ATTRIBUTE_COUNT_LIMIT "Attributes of a span, event, link or log record, where nothing below says more." "`128`";
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT "Bytes of a text, where nothing below says more." "`4096`";
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT "Attributes of a span." "`128`";
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT "Bytes of a text of a span." "`4096`";
    OTEL_SPAN_EVENT_COUNT_LIMIT "Events of a span." "`128`";
    OTEL_SPAN_LINK_COUNT_LIMIT "Links of a span." "`128`";
    OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT "Attributes of an event." "`128`";
    OTEL_LINK_ATTRIBUTE_COUNT_LIMIT "Attributes of a link." "`128`";
    OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT "Attributes of a log record." "`128`";
    OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT "Bytes of a text of a log record." "`4096`";
    OTEL_METRIC_EXPORT_INTERVAL "Milliseconds between two exports of metrics." "`60000`";
    OTEL_METRIC_EXPORT_TIMEOUT "Milliseconds that an export of metrics may take." "`30000`";
    OTEL_EXPORTER_OTLP_ENDPOINT (by_signal) "The address of the collector. Over HTTP the general one gets the path of each signal, such as `/v1/traces`." "port 4318 of this machine, 4317 for gRPC";
    OTEL_EXPORTER_OTLP_PROTOCOL (by_signal) "`http/protobuf`, or `grpc` with the feature `otlp-grpc`." "`http/protobuf`";
    OTEL_EXPORTER_OTLP_INSECURE (by_signal) "`true` spares gRPC the TLS, for an address that does not begin with `http:` or `https:`." "`false`";
    OTEL_EXPORTER_OTLP_HEADERS (by_signal) "Sent with every export: `name=value,name=value`, percent-encoded. Shown by nothing." "none";
    OTEL_EXPORTER_OTLP_COMPRESSION (by_signal) "`gzip` or `none`." "`none`";
    OTEL_EXPORTER_OTLP_TIMEOUT (by_signal) "Milliseconds that an export may take, repetitions included." "`10000`";
    OTEL_EXPORTER_OTLP_CERTIFICATE (by_signal) "A file (PEM) with who alone may vouch for the collector." "whom this machine trusts";
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE (by_signal) "A file (PEM) with the certificate that is shown to the collector." "none";
    OTEL_EXPORTER_OTLP_CLIENT_KEY (by_signal) "A file (PEM) with its private key." "none";
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE "`cumulative`, `delta` or `lowmemory`." "`cumulative`";
    OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`, which Prometheus text cannot hold." "`explicit_bucket_histogram`";
}

/// The others of the specification, with why they are not read.
pub static UNREAD_VARIABLES: &[(&str, &str)] = &[
    ("OTEL_CONFIG_FILE", "Settings in a file are `TelemetrySettings`, in whatever format serde reads."),
    ("OTEL_ENTITIES", "The SDK for Rust has no entities yet; resource attributes say the same."),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", "There is no server of its own: yours serves `/metrics`."),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "There is no server of its own: yours serves `/metrics`."),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "There is no exporter for Zipkin; the collector has one."),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", "There is no exporter for Zipkin; the collector has one."),
    (
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "Exemplars are kept for Prometheus and are of sampled spans, which is `trace_based`.",
    ),
];
