//! Console logs.

use std::io;

use campanile::Telemetry;
use campanile::telemetry::{Console, CorrelationId, Sampling, SpanExt};
use opentelemetry::Context;
use serde_json::Value;
use tracing::{error, info, info_span, warn};
use tracing_subscriber::prelude::*;

use crate::support::{Pipeline, Sink};

/// The console's output for some events, and the trace and span id of the inner span.
fn logged(console: Console) -> (String, String, String) {
    let sink = Sink::default();
    let writer = sink.clone();
    let pipeline = Pipeline::with(|builder| builder.console(console).console_writer(move || writer.clone()));
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer())
        .with(pipeline.telemetry.console_layer());
    let trace_id = tracing::subscriber::with_default(subscriber, || {
        info!("outside");
        let _request = info_span!("request", method = "GET", "weird \"key\"" = 1).entered();
        let order = info_span!("order", id = 7, state = tracing::field::Empty).entered();
        order.record("state", "new");
        order.record("state", "paid");
        warn!(amount = 3, ok = true, "a \"quoted\"\nmessage");
        error!(error = &io::Error::other("full") as &(dyn std::error::Error + 'static), "no room");
        order.trace_id().unwrap().to_string()
    });
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let span_id = pipeline.span("order").span_context.span_id().to_string();
    (text, trace_id, span_id)
}

#[test]
fn lines_hold_the_correlation_id() {
    for console in [Console::Json, Console::Human] {
        let sink = Sink::default();
        let writer = sink.clone();
        let pipeline =
            Pipeline::with(|builder| builder.console(console).console_writer(move || writer.clone()));
        let subscriber = tracing_subscriber::registry()
            .with(pipeline.telemetry.span_layer())
            .with(pipeline.telemetry.console_layer());
        tracing::subscriber::with_default(subscriber, || {
            let id: CorrelationId = "a\"17".parse().unwrap();
            let attached = id.within(&Context::current()).attach();
            let span = info_span!("order").entered();
            info!("with");
            drop((span, attached));
            info!("without");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        if console == Console::Json {
            let ids = lines
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["correlation_id"].clone());
            assert_eq!(ids.collect::<Vec<_>>(), [Value::from("a\"17"), Value::Null]);
        } else {
            assert!(lines[0].ends_with(" correlation_id=a\"17"), "{text}");
            assert!(lines[1].ends_with("without"), "{text}");
        }
    }
}

#[test]
fn json_lines_hold_the_ids() {
    let (text, trace_id, span_id) = logged(Console::Json);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["message"], "outside");
    assert!(lines[0].get("trace_id").is_none() && lines[0].get("spans").is_none());
    let warning = &lines[1];
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["target"], module_path!());
    assert_eq!(warning["message"], "a \"quoted\"\nmessage");
    assert_eq!(warning["fields"], serde_json::json!({"amount": 3, "ok": true}));
    assert_eq!(warning["trace_id"], trace_id);
    assert_eq!(warning["span_id"], span_id);
    assert_eq!(
        warning["spans"],
        serde_json::json!([
            {"name": "request", "method": "GET", "weird \"key\"": 1},
            {"name": "order", "id": 7, "state": "paid"},
        ])
    );
    humantime::parse_rfc3339(warning["timestamp"].as_str().unwrap()).unwrap();
    assert_eq!(lines[2]["fields"]["error"], "full");
}

#[test]
fn human_lines_hold_the_ids() {
    let (text, trace_id, span_id) = logged(Console::Human);
    let first = text.lines().next().unwrap();
    assert!(first.ends_with("outside") && first.contains(" INFO "), "{first}");
    assert!(!text.contains('\u{1b}'), "there are colours without a terminal");
    let last = text.lines().last().unwrap();
    assert!(last.contains("ERROR request{method=\"GET\""), "{last}");
    assert!(last.contains("order{id=7 state=\"new\" state=\"paid\"}: "), "{last}");
    assert!(last.contains("no room error=full"), "{last}");
    assert!(last.ends_with(&format!("trace_id={trace_id} span_id={span_id}")), "{last}");
}

#[test]
fn off_is_silent() {
    assert_eq!(logged(Console::Off).0, "");
}

/// The console's output for the events of `action`.
fn console_of(console: Console, sampling: Sampling, action: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let builder = Telemetry::builder("test").sampling(sampling).variables(|_| None).console(console);
    let telemetry = builder.console_writer(move || writer.clone()).build().unwrap();
    let subscriber =
        tracing_subscriber::registry().with(telemetry.span_layer()).with(telemetry.console_layer());
    tracing::subscriber::with_default(subscriber, action);
    let text = sink.0.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn p67_no_text_forges_a_line_or_controls_a_terminal() {
    const FORGED: &str =
        "bob\n2026-01-01T00:00:00Z ERROR auth: root logged in\r\u{1b}[31m\u{9b}2K\u{7f}\u{85}\0";
    for console in [Console::Human, Console::Json] {
        let text = console_of(console, Sampling::AlwaysOn, || {
            let _span = info_span!("login", user = %FORGED, text = FORGED, debug = ?FORGED).entered();
            info!(user = %FORGED, text = FORGED, "login of {FORGED}");
            info!(message = FORGED);
            error!(error = &io::Error::other(FORGED) as &(dyn std::error::Error + 'static));
        });
        assert_eq!(text.lines().count(), 3, "{text:?}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("bob\\n2026"), "{text}");
        if console == Console::Json {
            let second: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
            assert_eq!(second["message"], FORGED, "the JSON holds another text");
            assert_eq!(second["spans"][0]["user"], FORGED);
        }
    }
}

#[test]
fn a_secret_at_the_cut_of_a_text_is_hidden() {
    let text = format!("{} 4242 4242 4242 4242", ".".repeat(64 * 1024 - 10));
    for console in [Console::Human, Console::Json] {
        let line = console_of(console, Sampling::AlwaysOff, || info!(value = %text));
        assert!(line.len() > 64 * 1024 && !line.contains("4242"), "{}", &line[line.len() - 99..]);
    }
}

#[test]
fn a_value_that_cannot_be_printed_harms_no_other_span() {
    struct Refuses;
    impl std::fmt::Display for Refuses {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half of it")?;
            Err(std::fmt::Error)
        }
    }
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    for console in [Console::Human, Console::Json] {
        let text = console_of(console, Sampling::AlwaysOff, || {
            let span = info_span!("request", at = tracing::field::Empty);
            span.record("at", tracing::field::debug(Panics));
            span.in_scope(|| info!(at = %Refuses, "logged"));
            drop(span);
            (0..200).for_each(|n| info_span!("innocent", n).in_scope(|| info!(n, "well")));
        });
        assert_eq!(text.lines().count(), 201, "{text}");
        let first = text.lines().next().unwrap();
        assert!(
            first.contains("half of it(it cannot be printed)") && first.contains("(it panicked)"),
            "{first}"
        );
    }
}
