//! Events of the `log` crate have the target and the place of the `log` call, not those of `tracing-log`.

use campanile::telemetry::{Console, TelemetryBuilder};
use log::{Level, Record};
use opentelemetry::Value;
use opentelemetry::logs::AnyValue;
use opentelemetry_sdk::logs::InMemoryLogExporter;
use tracing::{info_span, warn};
use tracing_subscriber::prelude::*;

use crate::support::{LONG, Pipeline, Sink};

/// Forwards a record as `tracing_log::LogTracer` does, without installing a logger for the process.
fn log(level: Level, target: &str, text: &str) {
    let mut record = Record::builder();
    let record = record.level(level).target(target).module_path(Some("shop::till"));
    let record = record.file(Some("src/till.rs")).line(Some(17));
    tracing_log::format_trace(&record.args(format_args!("{text}")).build()).unwrap();
}

struct Outcome {
    pipeline: Pipeline,
    logs: InMemoryLogExporter,
    console: String,
}

fn outcome(
    console: Console,
    configure: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder,
    act: impl FnOnce(),
) -> Outcome {
    let (sink, logs) = (Sink::default(), InMemoryLogExporter::default());
    let writer = sink.clone();
    let pipeline = Pipeline::with(|builder| {
        let builder = builder.console(console).console_writer(move || writer.clone());
        configure(builder.log_exporter(logs.clone()))
    });
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer())
        .with(pipeline.telemetry.console_layer());
    tracing::subscriber::with_default(subscriber, || info_span!("span").in_scope(act));
    assert!(pipeline.telemetry.force_flush(LONG));
    let console = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    Outcome { pipeline, logs, console }
}

#[test]
fn target_and_place_are_those_of_the_call() {
    for places in [true, false] {
        let outcome = outcome(
            Console::Off,
            |builder| builder.configure(|settings| settings.code_attributes = places),
            || log(Level::Warn, "shop::money", "sold"),
        );
        let records = outcome.logs.get_emitted_logs().unwrap();
        let record = &records[0].record;
        assert_eq!(record.target().map(AsRef::as_ref), Some("shop::money"));
        assert_eq!((record.event_name(), record.body()), (None, Some(&AnyValue::from("sold"))));
        let mut found: Vec<_> =
            record.attributes_iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let place = [
            ("code.file.path".to_owned(), AnyValue::from("src/till.rs")),
            ("code.line.number".to_owned(), AnyValue::from(17)),
            ("code.module.name".to_owned(), AnyValue::from("shop::till")),
        ];
        assert_eq!(found, if places { &place[..] } else { &[] });

        let span = outcome.pipeline.span("span");
        let event = &span.events[0];
        assert_eq!(event.name, "sold");
        let mut found: Vec<_> =
            event.attributes.iter().map(|it| (it.key.as_str(), it.value.clone())).collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        let mut right = vec![("level", Value::from("WARN")), ("target", "shop::money".into())];
        if places {
            let place: [(_, Value); 3] = [
                ("code.file.path", "src/till.rs".into()),
                ("code.line.number", 17.into()),
                ("code.module.name", "shop::till".into()),
            ];
            right.splice(..0, place);
        }
        assert_eq!(found, right);
    }
}

#[test]
fn the_console_writes_them_like_other_events() {
    let both = |console| {
        let text = outcome(
            console,
            |builder| builder,
            || {
                log(Level::Warn, module_path!(), "sold");
                warn!("sold");
            },
        )
        .console;
        assert!(!text.contains("log."), "{text}");
        let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        <[String; 2]>::try_from(lines).unwrap()
    };
    let [log, native] = both(Console::Human);
    let after_time = |line: &str| line.split_once(' ').unwrap().1.to_owned();
    assert_eq!(after_time(&log), after_time(&native));
    assert!(native.contains(&format!(" WARN span: {}: sold trace_id=", module_path!())), "{native}");
    let [log, native] = both(Console::Json).map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line.as_object_mut().unwrap().remove("timestamp");
        line
    });
    assert_eq!(log, native);
    assert_eq!(log["target"], module_path!());
}

#[test]
fn a_target_is_redacted_like_any_text() {
    const FORGED: &str = "auth\n2026 ERROR root logged in \u{1b}[31m token=abc";
    for console in [Console::Human, Console::Json] {
        let outcome = outcome(console, |builder| builder, || log(Level::Info, FORGED, "text"));
        assert_eq!(outcome.console.lines().count(), 1);
        assert!(
            !outcome.console.contains('\u{1b}') && !outcome.console.contains("abc"),
            "{}",
            outcome.console
        );
        let records = outcome.logs.get_emitted_logs().unwrap();
        let target = records[0].record.target().unwrap();
        assert!(target.starts_with("auth") && !target.contains("abc"), "{target}");
        assert!(outcome.console.contains("auth\\n2026 ERROR root"), "{}", outcome.console);
    }
}

#[test]
fn logs_of_the_pipeline_are_left_out() {
    let outcome = outcome(
        Console::Json,
        |builder| builder,
        || {
            log(Level::Error, "opentelemetry_otlp::client", "refused");
            log(Level::Error, "campanile::telemetry::export", "refused");
            log(Level::Info, "shop", "kept");
        },
    );
    assert_eq!(outcome.logs.get_emitted_logs().unwrap().len(), 1);
    let span = outcome.pipeline.span("span");
    assert_eq!(span.events.len(), 1);
    assert_eq!(span.status, opentelemetry::trace::Status::Unset);
    assert_eq!(outcome.console.lines().count(), 3, "the console does not show it");
}

#[test]
fn an_error_that_is_logged_fails_the_span() {
    let outcome = outcome(Console::Off, |builder| builder, || log(Level::Error, "shop", "no money"));
    assert_eq!(outcome.pipeline.span("span").status, opentelemetry::trace::Status::error("no money"));
}
