//! Each variable in the table has the effect that the table states.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, pending, ready};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::{BatchSettings, LogSettings, TelemetryBuilder, UNREAD_VARIABLES, VARIABLES};
use http_body_util::Full;
use opentelemetry::logs::AnyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Key, KeyValue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

use crate::scripted::{Collector, Request};
use crate::support::{LONG, in_time};

type Set = Vec<(String, String)>;

fn set(pairs: &[(&str, &str)]) -> Set {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn find(set: Set) -> impl Fn(&str) -> Option<String> {
    move |name| set.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

/// An exporter that keeps items, and blocks until it is opened.
#[derive(Clone)]
struct Keep<T> {
    open: Arc<(Mutex<bool>, Condvar)>,
    batches: Arc<Mutex<Vec<Vec<T>>>>,
}

impl<T: Clone> Keep<T> {
    fn new() -> Self {
        Self { open: Arc::default(), batches: Arc::default() }
    }

    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    fn keep(&self, batch: Vec<T>) {
        let open = self.open.0.lock().unwrap();
        drop(self.open.1.wait_while(open, |open| !*open).unwrap());
        self.batches.lock().unwrap().push(batch);
    }

    fn all(&self) -> Vec<T> {
        self.batches.lock().unwrap().concat()
    }

    fn biggest(&self) -> usize {
        self.batches.lock().unwrap().iter().map(Vec::len).max().unwrap_or_default()
    }
}

impl<T> fmt::Debug for Keep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

impl SpanExporter for Keep<SpanData> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.keep(batch);
        ready(Ok(()))
    }
}

impl LogExporter for Keep<SdkLogRecord> {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        self.keep(batch.iter().map(|(record, _)| record.clone()).collect());
        ready(Ok(()))
    }
}

/// Observed effects by name.
type Seen = BTreeMap<&'static str, String>;

fn run<R>(telemetry: &Telemetry, action: impl FnOnce() -> R) -> R {
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, action)
}

/// Observes spans and log records inside the process.
fn seen_inside(set: Set) -> Seen {
    let (spans, logs) = (Keep::<SpanData>::new(), Keep::<SdkLogRecord>::new());
    let telemetry = Telemetry::builder("code")
        .variables(find(set))
        .configure(|settings| settings.code_attributes = false)
        .span_exporter(spans.clone())
        .log_exporter(logs.clone())
        .build()
        .unwrap();
    let long = "x".repeat(10_000);
    run(&telemetry, || {
        info_span!("full", a = 1, b = 2, text = long).in_scope(|| {
            (0..3).for_each(|_| info!(a = 1, b = 2, text = long, "event"));
        });
        (0..300).for_each(|_| info_span!("many").in_scope(|| info!("many")));
    });
    let ids = SpanContext::new(
        TraceId::from(1_u128),
        SpanId::from(1_u64),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let link = Link::new(ids, vec![KeyValue::new("a", 1), KeyValue::new("b", 2)], 0);
    let tracer = telemetry.tracer_provider().tracer("test");
    tracer.span_builder("linked").with_links(vec![link.clone(), link]).start(&tracer).end();
    spans.open();
    logs.open();
    assert!(telemetry.force_flush(LONG));

    let mut seen = Seen::new();
    let mut see = |name, value: &dyn fmt::Display| seen.insert(name, value.to_string());
    let all = spans.all();
    let named = |name: &str| all.iter().find(|span| span.name == name);
    if let Some(span) = named("full") {
        see("span attributes", &span.attributes.len());
        see("span events", &span.events.len());
        see("event attributes", &span.events.iter().map(|event| event.attributes.len()).max().unwrap());
        let longest = span.attributes.iter().map(|it| it.value.as_str().len()).max();
        see("span text", &longest.unwrap());
    }
    if let Some(span) = named("linked") {
        see("links", &span.links.len());
        see("link attributes", &span.links[0].attributes.len());
    }
    see("few spans", &(all.len() < 100));
    see("small batches of spans", &(spans.biggest() <= 7));
    let records = logs.all();
    if let Some(record) = records.iter().find(|record| record.attributes_iter().next().is_some()) {
        see("record attributes", &record.attributes_iter().count());
        let length = |value: &AnyValue| match value {
            AnyValue::String(text) => text.as_str().len(),
            _ => 0,
        };
        let texts = record.attributes_iter().map(|(_, value)| length(value));
        see("record text", &texts.chain(record.body().map(length)).max().unwrap());
    }
    see("few records", &(records.len() < 100));
    see("small batches of records", &(logs.biggest() <= 7));
    let resource = telemetry.resource();
    for (name, key) in [("service", "service.name"), ("zone", "zone")] {
        see(name, &resource.get(&Key::from_static_str(key)).map(|it| it.to_string()).unwrap_or_default());
    }
    let propagator = telemetry.propagator();
    see("fields", &propagator.fields().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","));
    seen
}

/// An answer that means success over HTTP and over gRPC.
fn success() -> http::Response<Full<bytes::Bytes>> {
    http::Response::builder().header("grpc-status", 0).body(Full::default()).unwrap()
}

/// Observes what a collector receives of a span, a measurement and a log record. In a value, `{}` stands for the address of the
/// collector and `{2}` for that of a second one.
fn seen_outside(set: Set) -> Seen {
    let (first, second) = (Collector::start(|_| success()), Collector::start(|_| success()));
    let mut all = vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), first.endpoint())];
    all.extend(set.into_iter().map(|(name, value)| {
        let value = value.replace("{2}", &second.endpoint()).replace("{}", &first.address.to_string());
        (name, value)
    }));
    let telemetry = match Telemetry::builder("test").otlp().variables(find(all)).build() {
        Ok(telemetry) => telemetry,
        Err(error) => return Seen::from([("error", error.to_string())]),
    };
    let meter = telemetry.meter_provider().meter("test");
    meter.u64_counter("count").build().add(1, &[]);
    meter.f64_histogram("spread").build().record(1.0, &[]);
    run(&telemetry, || info_span!("span").in_scope(|| info!("event")));
    telemetry.shutdown(LONG);

    let mut seen = Seen::new();
    let (first, second) = (first.requests(), second.requests());
    for (signal, names) in [
        ("trace", ["trace", "trace header", "trace gzip", "trace grpc", "trace time", "trace elsewhere"]),
        (
            "metrics",
            [
                "metrics",
                "metrics header",
                "metrics gzip",
                "metrics grpc",
                "metrics time",
                "metrics elsewhere",
            ],
        ),
        ("logs", ["logs", "logs header", "logs gzip", "logs grpc", "logs time", "logs elsewhere"]),
    ] {
        let of = |request: &&Request| {
            request.path.contains(&format!("v1/{signal}")) || request.path.contains(&format!("{signal}.v1"))
        };
        seen.insert(names[5], second.iter().any(|request| of(&request)).to_string());
        let Some(Request { headers, .. }) = first.iter().find(of) else { continue };
        let get = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        seen.insert(names[0], "got".to_owned());
        seen.insert(names[1], get("x-a").to_owned());
        seen.insert(
            names[2],
            (get("content-encoding") == "gzip" || get("grpc-encoding") == "gzip").to_string(),
        );
        seen.insert(names[3], (get("content-type") == "application/grpc").to_string());
        let time = get("grpc-timeout").trim_end_matches('m').parse::<u64>();
        seen.insert(names[4], time.is_ok_and(|time| time <= 1_234).to_string());
    }
    let metrics = first.iter().find(|request| request.path == "/v1/metrics");
    if let Some(message) = metrics.and_then(|it| ExportMetricsServiceRequest::decode(&it.body[..]).ok()) {
        let scopes = message.resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            match (metric.name.as_str(), metric.data) {
                ("count", Some(Data::Sum(sum))) => {
                    seen.insert("temporality", sum.aggregation_temporality.to_string());
                }
                ("spread", Some(data)) => {
                    let kind = matches!(data, Data::ExponentialHistogram(_));
                    seen.insert("exponential", kind.to_string());
                }
                _ => {}
            }
        }
    }
    seen
}

/// Asserts that `what` is `is` with the variable `name`, and something else without it.
#[track_caller]
fn shows(
    see: fn(Set) -> Seen,
    others: &[(&str, &str)],
    name: &str,
    value: &str,
    what: &str,
    is: Option<&str>,
) {
    let without = see(set(others));
    let mut all = set(others);
    all.push((name.to_owned(), value.to_owned()));
    let with = see(all);
    assert_eq!(with.get(what).map(String::as_str), is, "{name}={value}: {with:?}");
    assert_ne!(with.get(what), without.get(what), "{name}={value} changes nothing");
}

#[track_caller]
fn inside(others: &[(&str, &str)], name: &str, value: &str, what: &str, is: &str) {
    shows(seen_inside, others, name, value, what, Some(is));
}

fn check(name: &str) {
    // The word for the signal in the paths of requests.
    let signals: &[&str] = match name {
        _ if name.contains("_TRACES_") => &["trace"],
        _ if name.contains("_METRICS_") => &["metrics"],
        _ if name.contains("_LOGS_") => &["logs"],
        _ => &["trace", "metrics", "logs"],
    };
    let general = ["_TRACES", "_METRICS", "_LOGS"].iter().fold(name.to_owned(), |name, own| {
        if name.starts_with("OTEL_EXPORTER_OTLP") {
            name.replacen(&format!("OTLP{own}_"), "OTLP_", 1)
        } else {
            name
        }
    });
    let outside = |others: &[(&str, &str)], value: &str, what: &str, is: Option<&str>| {
        for signal in signals {
            let what = if what.is_empty() { (*signal).to_owned() } else { format!("{signal} {what}") };
            shows(seen_outside, others, name, value, &what, is);
        }
    };
    const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    match general.as_str() {
        "OTEL_SDK_DISABLED" => inside(&[], name, "true", "few spans", "true"),
        "OTEL_RESOURCE_ATTRIBUTES" => inside(&[], name, "zone=eu", "zone", "eu"),
        "OTEL_SERVICE_NAME" => inside(&[], name, "variable", "service", "variable"),
        // The tests of the filter cover its effect. Here its error shows that it is read.
        "OTEL_LOG_LEVEL" => {
            let error = Telemetry::builder("test").variables(find(set(&[(name, "loud")]))).build();
            assert!(error.unwrap_err().to_string().contains(name));
        }
        "OTEL_PROPAGATORS" => inside(&[], name, "baggage", "fields", "baggage"),
        "OTEL_TRACES_SAMPLER" => inside(&[], name, "always_off", "few spans", "true"),
        "OTEL_TRACES_SAMPLER_ARG" => {
            inside(&[("OTEL_TRACES_SAMPLER", "traceidratio")], name, "0", "few spans", "true");
        }
        "OTEL_TRACES_EXPORTER" => shows(seen_outside, &[], name, "none", "trace", None),
        "OTEL_METRICS_EXPORTER" => shows(seen_outside, &[], name, "none", "metrics", None),
        "OTEL_LOGS_EXPORTER" => shows(seen_outside, &[], name, "none", "logs", None),
        "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => exports_soon(name, "1"),
        "OTEL_BSP_EXPORT_TIMEOUT" | "OTEL_BLRP_EXPORT_TIMEOUT" | "OTEL_METRIC_EXPORT_TIMEOUT" => {
            export_times_out(name)
        }
        "OTEL_BSP_MAX_QUEUE_SIZE" => inside(&[], name, "20", "few spans", "true"),
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" => inside(&[], name, "7", "small batches of spans", "true"),
        "OTEL_BLRP_MAX_QUEUE_SIZE" => inside(&[], name, "20", "few records", "true"),
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" => inside(&[], name, "7", "small batches of records", "true"),
        "OTEL_ATTRIBUTE_COUNT_LIMIT" => {
            for what in ["span attributes", "event attributes", "link attributes"] {
                inside(&[], name, "1", what, "1");
            }
            inside(&[], name, "1", "record attributes", "2");
        }
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT" => {
            ["span text", "record text"].iter().for_each(|what| inside(&[], name, "9", what, "9"));
        }
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" => inside(&[], name, "1", "span attributes", "1"),
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT" => inside(&[], name, "9", "span text", "9"),
        "OTEL_SPAN_EVENT_COUNT_LIMIT" => inside(&[], name, "1", "span events", "1"),
        "OTEL_SPAN_LINK_COUNT_LIMIT" => inside(&[], name, "1", "links", "1"),
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT" => inside(&[], name, "1", "event attributes", "1"),
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT" => inside(&[], name, "1", "link attributes", "1"),
        // The second attribute counts the dropped ones.
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT" => inside(&[], name, "1", "record attributes", "2"),
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT" => inside(&[], name, "9", "record text", "9"),
        "OTEL_METRIC_EXPORT_INTERVAL" => exports_soon(name, "1"),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => {
            let value = if general == name { "{2}" } else { "{2}/v1/trace/v1/metrics/v1/logs" };
            outside(&[], value, "elsewhere", Some("true"));
        }
        "OTEL_EXPORTER_OTLP_PROTOCOL" => outside(&[], "grpc", "grpc", Some("true")),
        "OTEL_EXPORTER_OTLP_INSECURE" => {
            outside(
                &[GRPC, ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "{}")],
                "true",
                "",
                Some("got"),
            );
        }
        "OTEL_EXPORTER_OTLP_HEADERS" => outside(&[], "x-a=1", "header", Some("1")),
        "OTEL_EXPORTER_OTLP_COMPRESSION" => outside(&[], "gzip", "gzip", Some("true")),
        "OTEL_EXPORTER_OTLP_TIMEOUT" => outside(&[GRPC], "1234", "time", Some("true")),
        "OTEL_EXPORTER_OTLP_CERTIFICATE"
        | "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
        | "OTEL_EXPORTER_OTLP_CLIENT_KEY" => {
            let builder = Telemetry::builder("test").otlp().variables(find(set(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1"),
                (name, "/nowhere.pem"),
            ])));
            let error = builder.build().unwrap_err().to_string();
            // Without the feature `tls`, another error comes first.
            assert!(error.contains(name) || !cfg!(feature = "tls"), "{error}");
        }
        "OTEL_EXPORTER_OTLP_TEMPORALITY_PREFERENCE" => {
            shows(seen_outside, &[], name, "delta", "temporality", Some("1"))
        }
        "OTEL_EXPORTER_OTLP_DEFAULT_HISTOGRAM_AGGREGATION" => {
            shows(seen_outside, &[], name, "base2_exponential_bucket_histogram", "exponential", Some("true"));
        }
        _ => panic!("{name} is in the table and has no case here"),
    }
}

/// An exporter that signals each export.
#[derive(Clone, Debug)]
struct Bell(Arc<Mutex<mpsc::Sender<()>>>);

impl Bell {
    fn ring(&self) -> impl Future<Output = OTelSdkResult> + Send + use<> {
        let _ = self.0.lock().unwrap().send(());
        ready(Ok(()))
    }
}

/// An exporter whose exports never end.
#[derive(Clone, Debug)]
struct Never;

macro_rules! exporters {
    ($($exporter:ident $of:ident $do:expr;)*) => {$(
        impl SpanExporter for $exporter {
            async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
                let $of = self;
                $do.await
            }
        }

        impl LogExporter for $exporter {
            async fn export(&self, _: LogBatch<'_>) -> OTelSdkResult {
                let $of = self;
                $do.await
            }
        }

        impl opentelemetry_sdk::metrics::exporter::PushMetricExporter for $exporter {
            async fn export(&self, _: &opentelemetry_sdk::metrics::data::ResourceMetrics) -> OTelSdkResult {
                let $of = self;
                $do.await
            }

            fn force_flush(&self) -> OTelSdkResult {
                Ok(())
            }

            fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
                Ok(())
            }

            fn temporality(&self) -> opentelemetry_sdk::metrics::Temporality {
                opentelemetry_sdk::metrics::Temporality::Cumulative
            }
        }
    )*};
}

exporters! {
    Bell bell bell.ring();
    Never _never pending::<OTelSdkResult>();
}

/// A pipeline with one exporter, for the signal of the variable.
fn with_exporter<E>(name: &str, value: &str, exporter: E) -> TelemetryBuilder
where
    E: SpanExporter + LogExporter + opentelemetry_sdk::metrics::exporter::PushMetricExporter,
{
    const HOUR: Duration = Duration::from_secs(3_600);
    let (mut batch, mut logs) = (BatchSettings::default(), LogSettings::default());
    (batch.delay, batch.export_timeout, logs.batch.delay, logs.batch.export_timeout) =
        (HOUR, HOUR, HOUR, HOUR);
    let builder = Telemetry::builder("test")
        .prometheus()
        .configure(|settings| {
            settings.batch = batch;
            settings.logs = logs;
            settings.metrics_every = HOUR;
            settings.metrics_timeout = HOUR;
        })
        .variables(find(set(&[(name, value)])));
    match name {
        _ if name.contains("_BSP_") => builder.span_exporter(exporter),
        _ if name.contains("_BLRP_") => builder.log_exporter(exporter),
        _ => builder.metric_exporter(exporter),
    }
}

/// Asserts that an export starts by itself. Without the variable it would not do so within the test.
fn exports_soon(name: &str, value: &str) {
    let (sender, rings) = mpsc::channel();
    let telemetry = with_exporter(name, value, Bell(Arc::new(Mutex::new(sender)))).build().unwrap();
    run(&telemetry, || info_span!("span").in_scope(|| info!("event")));
    rings.recv_timeout(LONG).expect(name);
}

/// Asserts that an export that never ends times out. Without the variable it would not do so within the test.
fn export_times_out(name: &str) {
    let telemetry = with_exporter(name, "20", Never).build().unwrap();
    run(&telemetry, || info_span!("span").in_scope(|| info!("event")));
    assert!(!telemetry.force_flush(LONG));
    let text = telemetry.prometheus_text();
    let failures = text.lines().filter(|line| line.starts_with("campanile_telemetry_export_failures_total{"));
    assert_eq!(failures.filter(|line| line.ends_with(" 1")).count(), 1, "{name}: {text}");
}

#[test]
fn every_variable_has_the_effect_in_the_table() {
    in_time(|| VARIABLES.iter().flat_map(|variable| variable.names()).for_each(|name| check(&name)));
}

#[test]
fn the_table_holds_exactly_the_variables_that_are_read() {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    for others in [
        set(&[("OTEL_TRACES_SAMPLER", "traceidratio")]),
        set(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:1"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ]),
    ] {
        let (asked, read) = (Arc::clone(&asked), find(others));
        let read = move |name: &str| {
            asked.lock().unwrap().insert(name.to_owned());
            read(name)
        };
        drop(Telemetry::builder("test").otlp().prometheus().variables(read).build().unwrap());
    }
    let mut asked = asked.lock().unwrap().clone();
    asked.retain(|name| name.starts_with("OTEL_"));
    let table: BTreeSet<String> = VARIABLES.iter().flat_map(|variable| variable.names()).collect();
    assert_eq!(asked, table);
    for (name, _) in UNREAD_VARIABLES {
        assert!(!table.contains(*name), "{name}");
    }
}
