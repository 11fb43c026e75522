//! Log records of events: ids, contents, limits, and events that become no record.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::{LogSettings, Sampling, SpanExt, TelemetryBuilder};
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger, LoggerProvider, Severity};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{InMemoryLogExporter, LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tracing::level_filters::LevelFilter;
use tracing::{Level, debug, error, info, info_span, trace, warn};
use tracing_subscriber::prelude::*;

use crate::support::{LONG, Pipeline, in_time};

struct Logged {
    pipeline: Pipeline,
    exporter: InMemoryLogExporter,
}

impl Logged {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder) -> Self {
        let exporter = InMemoryLogExporter::default();
        let pipeline = Pipeline::with(|builder| configure(builder.log_exporter(exporter.clone())));
        Self { pipeline, exporter }
    }

    fn run<R>(&self, action: impl FnOnce() -> R) -> R {
        self.pipeline.run(action)
    }

    fn records(&self) -> Vec<SdkLogRecord> {
        assert!(self.pipeline.telemetry.force_flush(LONG), "the flush fails");
        let logs = self.exporter.get_emitted_logs().unwrap();
        logs.into_iter().map(|log| log.record).collect()
    }

    fn record(&self) -> SdkLogRecord {
        let records = self.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records.into_iter().next().unwrap()
    }

    fn bodies(&self) -> Vec<String> {
        self.records().iter().map(body).collect()
    }
}

fn body(record: &SdkLogRecord) -> String {
    text(record.body().expect("a body"))
}

fn text(value: &AnyValue) -> String {
    match value {
        AnyValue::String(text) => text.to_string(),
        other => panic!("{other:?} is not a text"),
    }
}

fn attribute(record: &SdkLogRecord, key: &str) -> Option<AnyValue> {
    let mut found = record.attributes_iter().filter(|(name, _)| name.as_str() == key);
    let value = found.next().map(|(_, value)| value.clone());
    assert!(found.next().is_none(), "{key} is there twice");
    value
}

#[track_caller]
fn assert_in(record: &SdkLogRecord, span: &SpanContext) {
    let found = record.trace_context().expect("ids");
    let flags = Some(span.trace_flags());
    assert_eq!(
        (found.trace_id, found.span_id, found.trace_flags),
        (span.trace_id(), span.span_id(), flags),
        "{}",
        body(record)
    );
}

fn ids(span: &tracing::Span) -> SpanContext {
    span.context().span().span_context().clone()
}

fn remote(flags: TraceFlags) -> Context {
    let id = TraceId::from_bytes([7; 16]);
    let span = SpanContext::new(id, SpanId::from_bytes([8; 8]), flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

#[test]
fn an_event_becomes_a_complete_record() {
    let logged = Logged::new();
    let line = line!() + 2;
    logged.run(
        || warn!(target: "shop::till", amount = 12, express = true, share = 0.5, who = "ada", "sold {}", 3),
    );
    let record = logged.record();
    assert_eq!(body(&record), "sold 3");
    assert_eq!((record.severity_number(), record.severity_text()), (Some(Severity::Warn), Some("WARN")));
    assert_eq!(record.target().map(AsRef::as_ref), Some("shop::till"));
    assert_eq!(record.event_name(), None, "the event has no name of its own");
    assert_eq!(record.trace_context(), None);
    assert!(record.timestamp().is_some() && record.timestamp() == record.observed_timestamp());
    for (key, value) in [
        ("amount", AnyValue::Int(12)),
        ("express", AnyValue::Boolean(true)),
        ("share", AnyValue::Double(0.5)),
        ("who", "ada".into()),
        ("code.module.name", module_path!().into()),
        ("code.file.path", file!().into()),
        ("code.line.number", i64::from(line).into()),
    ] {
        assert_eq!(attribute(&record, key), Some(value), "{key}");
    }
    assert_eq!(record.attributes_iter().count(), 7);
}

#[test]
fn the_name_of_an_event_is_kept() {
    let logged = Logged::with(|builder| builder.configure(|settings| settings.code_attributes = false));
    logged.run(|| info!(name: "order.taken", id = 1));
    let record = logged.record();
    assert_eq!((record.event_name(), record.body()), (Some("order.taken"), None));
    assert_eq!(record.attributes_iter().count(), 1);
}

#[test]
fn p31_a_record_has_the_ids_of_its_span_with_activation_and_without() {
    for activation in [true, false] {
        for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff] {
            let logged = Logged::with(|builder| {
                builder.configure(|settings| settings.activation = activation).sampling(sampling.clone())
            });
            let spans = logged.run(|| {
                let outer = info_span!("outer");
                let inner = info_span!(parent: &outer, "inner");
                {
                    let _entered = outer.enter();
                    info!("in outer");
                    inner.in_scope(|| info!("in inner"));
                    info!(parent: &inner, "event of inner");
                    info!(parent: None, "event without a span");
                }
                info!("outside");
                [ids(&outer), ids(&inner)]
            });
            let records = logged.records();
            assert_eq!(records.len(), 5);
            assert_in(&records[0], &spans[0]);
            assert_in(&records[1], &spans[1]);
            assert_in(&records[2], &spans[1]);
            assert_eq!(records[3].trace_context(), None, "{activation}");
            assert_eq!(records[4].trace_context(), None, "{activation}");
            assert_eq!(spans[0].is_sampled(), sampling == Sampling::AlwaysOn);
        }
    }
}

#[test]
fn p31_a_record_follows_a_late_parent() {
    for activation in [true, false] {
        let logged = Logged::with(|builder| builder.configure(|settings| settings.activation = activation));
        let after = logged.run(|| {
            let span = info_span!("span");
            let _entered = span.enter();
            info!("before");
            span.set_parent(remote(TraceFlags::SAMPLED));
            info!("after");
            ids(&span)
        });
        let records = logged.records();
        assert_eq!(after.trace_id(), TraceId::from_bytes([7; 16]));
        assert_in(&records[1], &after);
        assert_ne!(records[0].trace_context().unwrap().trace_id, after.trace_id());
    }
}

#[test]
fn p31_records_of_many_threads_have_the_ids_of_their_spans() {
    let logged = Logged::new();
    let dispatch = logged.pipeline.dispatch();
    let all = Mutex::new(std::collections::HashMap::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dispatch, all) = (&dispatch, &all);
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    for turn in 0..100 {
                        let span = info_span!("span");
                        let _entered = span.enter();
                        let name = format!("{thread} {turn}");
                        info!("{name}");
                        all.lock().unwrap().insert(name, ids(&span));
                    }
                });
            });
        }
    });
    let (records, all) = (logged.records(), all.into_inner().unwrap());
    assert_eq!(records.len(), 400);
    records.iter().for_each(|record| assert_in(record, &all[&body(record)]));
}

#[test]
fn p31_a_record_inside_a_span_of_opentelemetry_has_its_ids() {
    for activation in [true, false] {
        let logged = Logged::with(|builder| builder.configure(|settings| settings.activation = activation));
        let native = logged.run(|| {
            use opentelemetry::trace::TracerProvider as _;
            let tracer = logged.pipeline.telemetry.tracer_provider().tracer("native");
            tracer.in_span("native", |cx| {
                info!("in native");
                cx.span().span_context().clone()
            })
        });
        assert_in(&logged.record(), &native);
    }
    // The OpenTelemetry span is inside a span of the layer.
    let logged = Logged::new();
    logged.run(|| {
        let _span = info_span!("span").entered();
        let _attached = remote(TraceFlags::default()).attach();
        info!("below what was attached");
    });
    assert_in(&logged.record(), remote(TraceFlags::default()).span().span_context());
}

#[test]
fn an_event_of_a_sampled_span_is_a_span_event_and_a_record() {
    let logged = Logged::new();
    logged.run(|| info_span!("span").in_scope(|| info!(id = 17, "taken")));
    let (span, record) = (logged.pipeline.span("span"), logged.record());
    let event = &span.events[0];
    assert_eq!((event.name.as_ref(), body(&record).as_str()), ("taken", "taken"));
    assert!(event.attributes.contains(&KeyValue::new("id", 17)));
    assert_eq!(attribute(&record, "id"), Some(17.into()));
    assert_eq!(Some(event.timestamp), record.timestamp());
    assert_eq!(attribute(&record, "level"), None, "the level is in the severity only");
}

#[test]
fn logs_have_their_own_level() {
    let all = || {
        error!("error");
        warn!("warn");
        info!("info");
        debug!("debug");
        trace!("trace");
    };
    let with = |level: LevelFilter| {
        let logged = Logged::with(|builder| {
            let mut settings = LogSettings::default();
            settings.level = level;
            builder.configure(|it| it.logs = settings)
        });
        logged.run(|| info_span!("span").in_scope(all));
        assert_eq!(logged.pipeline.span("span").events.len(), 5, "the level of logs applies to spans too");
        logged.bodies()
    };
    assert_eq!(with(LogSettings::default().level), ["error", "warn", "info"]);
    assert_eq!(with(LevelFilter::TRACE), ["error", "warn", "info", "debug", "trace"]);
    assert_eq!(with(LevelFilter::ERROR), ["error"]);
    assert_eq!(with(LevelFilter::OFF), [""; 0]);
}

#[test]
fn an_error_gets_exception_attributes() {
    #[derive(Debug)]
    struct Broke(std::io::Error);

    impl fmt::Display for Broke {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("broke")
        }
    }

    impl std::error::Error for Broke {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[tracing::instrument(err)]
    fn fail() -> Result<(), Broke> {
        Err(Broke(std::io::Error::other("no money")))
    }

    let logged = Logged::new();
    logged.run(|| {
        let broke = Broke(std::io::Error::other("no money"));
        error!(error = &broke as &(dyn std::error::Error + 'static), "failed");
        fail().unwrap_err();
        info!(error = %broke, "worked in the end");
    });
    let records = logged.records();
    assert_eq!(attribute(&records[0], "exception.message"), Some("broke".into()));
    let causes = text(&attribute(&records[0], "exception.stacktrace").unwrap());
    assert!(causes.contains("no money"), "{causes}");
    assert_eq!(attribute(&records[1], "exception.message"), Some("broke".into()));
    assert_eq!(logged.pipeline.span("fail").status, opentelemetry::trace::Status::error("broke"));
    assert_eq!(attribute(&records[2], "exception.message"), None);
    assert_eq!(attribute(&records[2], "error"), Some("broke".into()));
}

#[test]
fn p33_a_record_is_bounded_and_counts_what_was_dropped() {
    let vast = "x".repeat(10_000);
    let limited = |for_logs: [usize; 2], for_spans: [usize; 2]| {
        let logged = Logged::with(|builder| {
            let (mut logs, mut spans) = (LogSettings::default(), campanile::telemetry::SpanLimits::default());
            [logs.attributes, logs.value_length] = for_logs;
            [spans.event_attributes, spans.value_length] = for_spans;
            builder.configure(|settings| {
                settings.logs = logs;
                settings.limits = spans;
                settings.code_attributes = false;
            })
        });
        logged.run(|| {
            let _span = info_span!("span").entered();
            info!(a = vast.as_str(), b = ?vast, c = 3, d = 4, "{vast}");
        });
        (logged.record(), logged.pipeline.span("span").events[0].clone())
    };
    for (for_logs, for_spans) in [([3, 100], [128, 4_096]), ([3, 100], [2, 10])] {
        let (record, event) = limited(for_logs, for_spans);
        assert_eq!(body(&record).len(), 100);
        assert_eq!(text(&attribute(&record, "a").unwrap()).len(), 100);
        assert_eq!(text(&attribute(&record, "b").unwrap()).len(), 100);
        assert_eq!(attribute(&record, "c"), Some(3.into()));
        assert_eq!(attribute(&record, "otel.dropped_attributes_count"), Some(1.into()));
        assert_eq!(record.attributes_iter().count(), 4);
        assert_eq!(event.name.len(), for_spans[1]);
        // Four fields, the level and the target.
        assert_eq!(event.attributes.len(), for_spans[0].min(6));
        assert_eq!(event.dropped_attributes_count as usize, 6 - for_spans[0].min(6));
        assert_eq!(event.attributes[0].value.as_str().len(), for_spans[1]);
    }
}

#[test]
fn variables_set_limits_and_the_queue() {
    let gate = Gate::default();
    let logged = Logged::with(|builder| {
        builder.configure(|settings| settings.code_attributes = false).log_exporter(gate.clone()).variables(
            |name| {
                let value = match name {
                    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT" => "1",
                    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT" => "4",
                    "OTEL_BLRP_MAX_QUEUE_SIZE" => "10",
                    "OTEL_BLRP_SCHEDULE_DELAY" => "3600000",
                    _ => return None,
                };
                Some(value.to_owned())
            },
        )
    });
    logged.run(|| (0..100).for_each(|_| info!(a = 1, b = 2, "a message")));
    gate.open();
    let records = logged.records();
    // One queue was full, and the exporter may have taken one batch before it blocked.
    assert!((10..=20).contains(&gate.exported.load(Ordering::Relaxed)), "{gate:?}");
    assert_eq!((body(&records[0]).as_str(), records[0].attributes_iter().count()), ("a me", 2));
    for name in
        ["OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_BLRP_MAX_QUEUE_SIZE"]
    {
        let error = Telemetry::builder("test")
            .variables(move |asked| (asked == name).then(|| "soon".to_owned()))
            .build()
            .unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let settings: LogSettings = serde_json::from_str(r#"{"level": "warn", "batch": {"queue": 0}}"#).unwrap();
    assert_eq!(settings.level, LevelFilter::WARN);
    let error = Telemetry::builder("test")
        .variables(|_| None)
        .configure(|it| it.logs = settings)
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("`logs.batch.queue` cannot be 0"), "{error}");
    assert!(serde_json::from_str::<LogSettings>(r#"{"level": "loud"}"#).is_err());
    let json = serde_json::to_string(&LogSettings::default()).unwrap();
    assert_eq!(serde_json::from_str::<LogSettings>(&json).unwrap(), LogSettings::default());
}

#[test]
fn records_hold_the_correlation_id() {
    let logged = Logged::new();
    logged.run(|| {
        let request = Context::current_with_baggage([KeyValue::new("correlation.id", "abc")]);
        let _attached = request.attach();
        info!("before the span");
        info_span!("span").in_scope(|| info!("in the span"));
    });
    for record in logged.records() {
        assert_eq!(attribute(&record, "correlation_id"), Some("abc".into()), "{}", body(&record));
    }
}

#[test]
fn records_of_the_opentelemetry_api_have_the_same_limits() {
    let logged = Logged::with(|builder| {
        let mut settings = LogSettings::default();
        (settings.attributes, settings.value_length) = (2, 5);
        builder.configure(|it| it.logs = settings)
    });
    let span = logged.run(|| {
        let logger = logged.pipeline.telemetry.logger_provider().logger("native");
        let emit = |severity: Severity, text: &str, attributes: &[(&'static str, &'static str)]| {
            let mut record = logger.create_log_record();
            record.set_severity_number(severity);
            record.set_body(AnyValue::String(text.to_owned().into()));
            record.add_attributes(attributes.iter().copied());
            logger.emit(record);
        };
        let span = info_span!("span");
        let _entered = span.enter();
        emit(Severity::Info2, "a native record", &[("a", "long enough"), ("b", "b"), ("c", "c")]);
        emit(Severity::Error, "short", &[("a", "long enough")]);
        emit(Severity::Debug, "not worth it", &[]);
        assert!(logger.event_enabled(Severity::Warn, "native", None));
        assert!(!logger.event_enabled(Severity::Debug4, "native", None));
        ids(&span)
    });
    let records = logged.records();
    let [record, short] = &records[..] else { panic!("{records:?}") };
    assert_in(record, &span);
    assert_eq!(body(record), "a nat");
    assert_eq!(attribute(record, "a"), Some("long ".into()));
    assert_eq!(attribute(record, "c"), None);
    assert_eq!(attribute(record, "otel.dropped_attributes_count"), Some(1.into()));
    assert_in(short, &span);
    assert_eq!((body(short).as_str(), attribute(short, "a")), ("short", Some("long ".into())));
    assert_eq!(attribute(short, "otel.dropped_attributes_count"), None);
    let emitted = logged.exporter.get_emitted_logs().unwrap();
    assert_eq!(emitted[0].instrumentation.name(), "native");
}

/// A processor and exporter that logs and traces in each method.
#[derive(Clone, Debug, Default)]
struct Chatty(Arc<AtomicUsize>);

impl SpanProcessor for Chatty {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        info!("a span ended");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl LogExporter for Chatty {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.fetch_add(batch.iter().count(), Ordering::Relaxed);
        info!("exported");
        error!(target: "opentelemetry_sdk", "a log of the SDK");
        std::future::ready(Ok(()))
    }
}

#[test]
fn p32_logs_of_the_pipeline_become_no_records() {
    in_time(|| {
        let chatty = Chatty::default();
        let logged =
            Logged::with(|builder| builder.span_processor(chatty.clone()).log_exporter(chatty.clone()));
        // The exporter's thread has no subscriber, unless there is one for the process.
        logged.run(|| {
            info_span!("span").in_scope(|| info!("in the span"));
            error!(target: "opentelemetry_sdk::logs", "a log of the SDK");
            error!(target: "campanile::telemetry::batch", "one of our own");
            let _silent = Context::enter_telemetry_suppressed_scope();
            let logger = logged.pipeline.telemetry.logger_provider().logger("native");
            logger.emit(logger.create_log_record());
        });
        assert_eq!(logged.bodies(), ["in the span"]);
        assert_eq!(chatty.0.load(Ordering::Relaxed), 1);
    });
}

/// An exporter that blocks until it is opened.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    exported: Arc<AtomicUsize>,
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} exported", self.exported.load(Ordering::Relaxed))
    }
}

impl LogExporter for Gate {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        let mut open = self.open.0.lock().unwrap();
        while !*open {
            open = self.open.1.wait(open).unwrap();
        }
        self.exported.fetch_add(batch.iter().count(), Ordering::Relaxed);
        std::future::ready(Ok(()))
    }
}

#[cfg(feature = "prometheus")]
#[test]
fn p34_what_a_hanging_exporter_of_logs_drops_is_counted() {
    in_time(|| {
        let gate = Gate::default();
        let mut logs = LogSettings::default();
        (logs.batch.queue, logs.batch.batch, logs.batch.delay) = (100, 10, Duration::from_secs(3_600));
        let telemetry = Telemetry::builder("test")
            .variables(|_| None)
            .prometheus()
            .configure(|settings| settings.logs = logs)
            .log_exporter(gate.clone())
            .build()
            .unwrap();
        let number = |name: &str, label: (&str, &str)| {
            crate::red::value(&telemetry.prometheus_text(), name, &[label]).unwrap()
        };
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        tracing::subscriber::with_default(subscriber, || (0..10_000).for_each(|n| info!(n, "event")));
        let lost = number("campanile_telemetry_logs_dropped_total", ("reason", "queue_full"));
        assert!((9_800.0..=9_900.0).contains(&lost), "{lost}");
        let waiting = number("campanile_telemetry_queue_length", ("signal", "logs"));
        assert!((1.0..=100.0).contains(&waiting), "{waiting}");
        gate.open();
        assert!(telemetry.force_flush(LONG));
        assert_eq!(gate.exported.load(Ordering::Relaxed) as f64 + lost, 10_000.0);
        assert_eq!(number("campanile_telemetry_queue_length", ("signal", "logs")), 0.0);
        assert!(telemetry.shutdown(LONG));
    });
}

#[cfg(feature = "prometheus")]
#[test]
fn p34_what_a_failing_exporter_of_logs_drops_is_counted() {
    #[derive(Debug)]
    struct Faulty(AtomicUsize);

    impl LogExporter for Faulty {
        async fn export(&self, _: LogBatch<'_>) -> OTelSdkResult {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("the first export panics; this message is expected in the test's output"),
                1 => Err(OTelSdkError::InternalFailure("refused".to_owned())),
                2 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    in_time(|| {
        let mut logs = LogSettings::default();
        logs.batch.export_timeout = Duration::from_millis(20);
        logs.batch.delay = Duration::from_secs(3_600);
        let telemetry = Telemetry::builder("test")
            .variables(|_| None)
            .prometheus()
            .configure(|settings| settings.logs = logs)
            .log_exporter(Faulty(AtomicUsize::new(0)))
            .build()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        tracing::subscriber::with_default(subscriber, || {
            for (flushed, lost) in [(false, 1.0), (false, 2.0), (false, 3.0), (true, 3.0)] {
                info!("event");
                assert_eq!(telemetry.force_flush(LONG), flushed);
                let text = telemetry.prometheus_text();
                let number = |name: &str, label| crate::red::value(&text, name, &[label]);
                let dropped = number("campanile_telemetry_logs_dropped_total", ("reason", "export_failed"));
                assert_eq!(dropped, Some(lost));
                let failures = number("campanile_telemetry_export_failures_total", ("signal", "logs"));
                assert_eq!(failures, Some(lost));
            }
        });
        let text = telemetry.prometheus_text();
        let number = |name: &str| crate::red::value(&text, name, &[("signal", "logs")]).unwrap();
        assert_eq!(number("campanile_telemetry_export_duration_seconds_count"), 4.0);
        assert!(number("campanile_telemetry_export_duration_seconds_sum") >= 0.02);
        assert!(telemetry.shutdown(LONG));
    });
}

#[test]
fn p34_shutdown_ends_while_the_exporter_of_logs_hangs() {
    in_time(|| {
        let gate = Gate::default();
        let logged = Logged::with(|builder| builder.log_exporter(gate.clone()));
        logged.run(|| info!("event"));
        assert!(!logged.pipeline.telemetry.shutdown(Duration::from_millis(50)));
        gate.open();
    });
}

#[test]
fn without_an_exporter_no_record_is_made() {
    #[derive(Debug)]
    struct Untouched;

    impl fmt::Display for Untouched {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("the text is not needed")
        }
    }

    let pipeline = Pipeline::with(|builder| builder.sampling(Sampling::AlwaysOff));
    pipeline.run(|| {
        info!("{}", Untouched);
        info_span!("span").in_scope(|| info!(id = %Untouched, "event"));
    });
    assert!(tracing::level_enabled!(Level::INFO));
}
