//! Values of fields of each type, in each place where they are shown.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::{NonZeroU8, Wrapping};

use campanile::Telemetry;
use campanile::telemetry::{Console, Sampling};
use opentelemetry::logs::AnyValue;
use opentelemetry::trace::Status;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLogRecord};
use serde_json::json;
use tracing::field::Empty;
use tracing::{Dispatch, error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{LONG, Pipeline, Sink, attribute};

impl Sink {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        // The second pipeline logs its own start.
        text.lines().filter(|line| !line.contains("opentelemetry")).map(ToOwned::to_owned).collect()
    }
}

/// A pipeline with every output in which a value is shown.
struct Everywhere {
    pipeline: Pipeline,
    logs: InMemoryLogExporter,
    human: Sink,
    json: Sink,
    /// A second pipeline for the JSON console. It is kept until the lines are read.
    _second: Telemetry,
    dispatch: Dispatch,
}

impl Everywhere {
    fn new(sampling: Sampling) -> Self {
        let (human, json, logs) = (Sink::default(), Sink::default(), InMemoryLogExporter::default());
        let (to_human, to_json) = (human.clone(), json.clone());
        let pipeline = Pipeline::with(|builder| {
            #[cfg(feature = "prometheus")]
            let builder = builder.prometheus();
            let builder = builder
                .sampling(sampling)
                .configure(|settings| settings.span_metric_fields = ["value"].map(String::from).to_vec());
            builder
                .log_exporter(logs.clone())
                .console(Console::Human)
                .console_writer(move || to_human.clone())
        });
        let second = Telemetry::builder("test").variables(|_| None).console(Console::Json);
        let second = second.console_writer(move || to_json.clone()).build().unwrap();
        let dispatch = Dispatch::new(
            tracing_subscriber::registry()
                .with(pipeline.telemetry.span_layer())
                .with(pipeline.telemetry.console_layer())
                .with(second.console_layer()),
        );
        Self { pipeline, logs, human, json, _second: second, dispatch }
    }

    fn run<R>(&self, action: impl FnOnce() -> R) -> R {
        tracing::dispatcher::with_default(&self.dispatch, action)
    }

    fn logged(&self) -> Vec<SdkLogRecord> {
        assert!(self.pipeline.telemetry.force_flush(LONG), "the flush fails");
        self.logs.get_emitted_logs().unwrap().into_iter().map(|log| log.record).collect()
    }
}

/// `value` as the value of a log record.
fn any(value: &opentelemetry::Value) -> AnyValue {
    match value.clone() {
        opentelemetry::Value::I64(value) => value.into(),
        opentelemetry::Value::F64(value) => value.into(),
        opentelemetry::Value::Bool(value) => value.into(),
        opentelemetry::Value::String(value) => value.into(),
        other => panic!("{other:?}"),
    }
}

fn alike(one: &AnyValue, other: &AnyValue) -> bool {
    match (one, other) {
        (AnyValue::Double(one), AnyValue::Double(other)) if one.is_nan() => other.is_nan(),
        _ => one == other,
    }
}

/// Records `$value` everywhere, and asserts that it is `$attribute` in spans, events and log records, `$json` and `$human` on
/// the console, and `$label` in metrics.
macro_rules! check {
    ($value:expr, $attribute:expr, $json:expr, $human:expr, $label:expr) => {{
        let everywhere = Everywhere::new(Sampling::AlwaysOn);
        everywhere.run(|| {
            let late = info_span!("late", value = Empty);
            late.record("value", $value);
            let _span = info_span!("first", value = $value).entered();
            info!(value = $value);
        });
        let attribute_: opentelemetry::Value = $attribute.into();
        let (first, late) = (everywhere.pipeline.span("first"), everywhere.pipeline.span("late"));
        let event = first.events[0].attributes.iter().find(|it| it.key.as_str() == "value");
        let case = stringify!($value);
        let attributes =
            [attribute(&first, "value"), attribute(&late, "value"), event.map(|it| it.value.clone())];
        for found in attributes {
            let found = found.unwrap_or_else(|| panic!("{case} is missing"));
            assert!(alike(&any(&found), &any(&attribute_)), "{case}: {found:?}");
        }
        let log = everywhere.logged();
        let log = log[0].attributes_iter().find(|(key, _)| key.as_str() == "value");
        let log = log.unwrap_or_else(|| panic!("{case} is missing")).1.clone();
        assert!(alike(&log, &any(&attribute_)), "{case}: {log:?}");
        let line: serde_json::Value = serde_json::from_str(&everywhere.json.lines()[0]).unwrap();
        assert_eq!(line["fields"]["value"], $json, "{case}");
        assert_eq!(line["spans"][0]["value"], $json, "{case}");
        let line = &everywhere.human.lines()[0];
        assert_eq!(line.matches(concat!("value=", $human)).count(), 2, "{case}: {line}");
        #[cfg(feature = "prometheus")]
        {
            let text = everywhere.pipeline.telemetry.prometheus_text();
            let label = format!("value={:?}", $label);
            assert!(text.contains(&label), "{case}: no {label} in {text}");
        }
    }};
}

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn every_type_is_shown_the_same_everywhere() {
    check!(true, true, json!(true), "true", "true");
    check!(-7_i8, -7, json!(-7), "-7", "-7");
    check!(i64::MIN, i64::MIN, json!(i64::MIN), "-9223372036854775808", "-9223372036854775808");
    check!(7_u64, 7, json!(7), "7", "7");
    check!(u64::MAX, "18446744073709551615", json!(u64::MAX), "18446744073709551615", "18446744073709551615");
    check!(7_i128, 7, json!(7), "7", "7");
    check!(7_u128, 7, json!(7), "7", "7");
    let text = "-170141183460469231731687303715884105728";
    check!(i128::MIN, text, json!(text), "-170141183460469231731687303715884105728", text);
    let text = "340282366920938463463374607431768211455";
    check!(u128::MAX, text, json!(text), "340282366920938463463374607431768211455", text);
    check!(1.5, 1.5, json!(1.5), "1.5", "1.5");
    check!(0.25_f32, 0.25, json!(0.25), "0.25", "0.25");
    check!(f64::NAN, f64::NAN, json!("NaN"), "NaN", "NaN");
    check!(f64::NEG_INFINITY, f64::NEG_INFINITY, json!("-inf"), "-inf", "-inf");
    check!("text", "text", json!("text"), "\"text\"", "text");
    check!(String::from("text"), "text", json!("text"), "\"text\"", "text");
    check!(&String::from("text"), "text", json!("text"), "\"text\"", "text");
    check!(Box::new(5), 5, json!(5), "5", "5");
    check!(Some(5), 5, json!(5), "5", "5");
    check!(Some("text"), "text", json!("text"), "\"text\"", "text");
    check!(Wrapping(5_u8), 5, json!(5), "5", "5");
    check!(NonZeroU8::MIN, 1, json!(1), "1", "1");
    check!(&b"\xc0\xff"[..], "[c0 ff]", json!("[c0 ff]"), "[c0 ff]", "[c0 ff]");
    check!(tracing::field::debug(Some(1)), "Some(1)", json!("Some(1)"), "Some(1)", "Some(1)");
    check!(tracing::field::display(1), "1", json!("1"), "1", "1");
    check!(format_args!("{}-{}", 1, 2), "1-2", json!("1-2"), "1-2", "1-2");
    check!(
        &Outer(io::Error::other("inner")) as &(dyn Error + 'static),
        "outer",
        json!("outer: inner"),
        "outer: inner",
        "outer"
    );
}

#[test]
fn an_empty_value_is_shown_nowhere() {
    let everywhere = Everywhere::new(Sampling::AlwaysOn);
    everywhere.run(|| {
        let _span = info_span!("span", value = Empty, none = None::<i64>).entered();
        info!(value = Empty, none = None::<&str>, "here");
    });
    let span = everywhere.pipeline.span("span");
    assert!(attribute(&span, "value").is_none() && attribute(&span, "none").is_none());
    assert_eq!(span.events[0].attributes.len(), 2, "more than level and target");
    let line: serde_json::Value = serde_json::from_str(&everywhere.json.lines()[0]).unwrap();
    assert_eq!((line.get("fields"), &line["spans"]), (None, &json!([{"name": "span"}])));
    assert!(everywhere.human.lines()[0].contains(" span: "), "{:?}", everywhere.human.lines());
}

#[test]
fn raw_names_and_messages_of_any_type_are_shown() {
    let everywhere = Everywhere::new(Sampling::AlwaysOn);
    everywhere.run(|| {
        let _span = info_span!("span", r#type = 1).entered();
        info!(message = 17, r#type = 2);
        error!(message = &io::Error::other("full") as &(dyn Error + 'static));
    });
    let span = everywhere.pipeline.span("span");
    assert_eq!(attribute(&span, "type"), Some(1.into()));
    assert_eq!([&span.events[0].name, &span.events[1].name], ["17", "full"]);
    assert_eq!(span.status, Status::error("full"));
    let logs = everywhere.logged();
    assert_eq!(logs[0].body(), Some(&AnyValue::from("17")));
    assert_eq!(logs[1].body(), Some(&AnyValue::from("full")));
    let line: serde_json::Value = serde_json::from_str(&everywhere.json.lines()[0]).unwrap();
    assert_eq!((&line["message"], &line["fields"]), (&json!("17"), &json!({"type": 2})));
    assert!(everywhere.human.lines()[0].contains("17 type=2"), "{:?}", everywhere.human.lines());
}

/// A value with the same `Debug` and `Display`.
#[derive(Clone, Copy)]
struct Boom;

impl fmt::Display for Boom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("boom")
    }
}

impl fmt::Debug for Boom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("boom")
    }
}

impl Error for Boom {}

type Way = (&'static str, fn());

/// Each way to record an error.
fn ways() -> Vec<Way> {
    macro_rules! ways {
        ($($name:ident => $value:expr),+ $(,)?) => {
            vec![$(
                (concat!("error = ", stringify!($name)), || error!(error = $value)),
                (concat!("exception = ", stringify!($name)), || error!(exception = $value)),
                (concat!("with a message, ", stringify!($name)), || error!(error = $value, "it failed")),
            )+]
        };
    }
    ways! {
        text => "boom",
        string => String::from("boom"),
        boxed_text => Box::new(String::from("boom")),
        option => Some("boom"),
        display => tracing::field::display(Boom),
        debug => tracing::field::debug(Boom),
        error => &Boom as &(dyn Error + 'static),
        shared_error => &Boom as &(dyn Error + Send + Sync + 'static),
        boxed_error => &*Box::<dyn Error + Send + Sync>::from(Boom) as &(dyn Error + Send + Sync + 'static),
        shown_box => tracing::field::display(Box::<dyn Error>::from("boom")),
    }
}

#[test]
fn every_way_to_record_an_error_has_the_same_result() {
    for (way, tell) in ways() {
        let everywhere = Everywhere::new(Sampling::AlwaysOn);
        everywhere.run(|| info_span!("span").in_scope(tell));
        let span = everywhere.pipeline.span("span");
        assert_eq!(span.status, Status::error("boom"), "{way}");
        let key = if way.starts_with("exception") { "exception" } else { "error" };
        let logs = everywhere.logged();
        for name in [key, "exception.message"] {
            let event: Vec<_> =
                span.events[0].attributes.iter().filter(|it| it.key.as_str() == name).collect();
            assert_eq!(event.len(), 1, "{way}: {name}");
            assert_eq!(event[0].value, "boom".into(), "{way}");
            let log: Vec<_> = logs[0].attributes_iter().filter(|(found, _)| found.as_str() == name).collect();
            assert_eq!(log.len(), 1, "{way}: {name}");
            assert_eq!(log[0].1, "boom".into(), "{way}");
        }
        let body = if way.starts_with("with a message") { "it failed" } else { "boom" };
        assert_eq!(logs[0].body(), Some(&body.into()), "{way}");
        let line: serde_json::Value = serde_json::from_str(&everywhere.json.lines()[0]).unwrap();
        assert_eq!(line["fields"][key], "boom", "{way}");
    }
}

#[cfg(feature = "prometheus")]
#[test]
fn every_way_to_record_an_error_counts_its_kind() {
    macro_rules! kinds {
        ($($value:expr),+ $(,)?) => { vec![$(
            (stringify!($value), (|| error!(error.type = $value, "it failed")) as fn()),
            (concat!(stringify!($value), " of the span"), || drop(info_span!("inner", error.type = $value))),
            (concat!(stringify!($value), ", late"), || {
                tracing::Span::current().record("error.type", $value);
            }),
        )+] };
    }
    for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff] {
        let counted = |tell: fn()| {
            let everywhere = Everywhere::new(sampling.clone());
            everywhere.run(|| info_span!("span", error.type = Empty).in_scope(tell));
            let text = everywhere.pipeline.telemetry.prometheus_text();
            let lines = text.lines().filter(|line| line.starts_with("campanile_span_duration_seconds_count"));
            lines.filter(|line| line.contains("error_type=")).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        for (way, tell) in ways() {
            let lines = counted(tell);
            assert_eq!(lines.len(), 1, "{way}: {lines:?}");
            assert!(lines[0].contains("error_type=\"_OTHER\""), "{way}: {lines:?}");
        }
        let kinds = kinds![
            503,
            503_u16,
            503_u128,
            "503",
            String::from("503"),
            tracing::field::display(503),
            tracing::field::debug(503),
        ];
        for (way, tell) in kinds {
            let lines = counted(tell);
            assert_eq!(lines.len(), 1, "{way}: {lines:?}");
            assert!(lines[0].contains("error_type=\"503\""), "{way}: {lines:?}");
        }
    }
}

#[test]
fn a_special_field_works_with_every_type() {
    macro_rules! status {
        ($($value:expr => $status:expr),+ $(,)?) => { $(
            let pipeline = Pipeline::new();
            pipeline.run(|| {
                drop(info_span!("first", otel.status_code = $value));
                let late = info_span!("late", otel.status_code = Empty);
                late.record("otel.status_code", $value);
            });
            for name in ["first", "late"] {
                let span = pipeline.span(name);
                assert_eq!(span.status, $status, "{} of {name}", stringify!($value));
                assert_eq!(attribute(&span, "otel.status_code"), None, "{}", stringify!($value));
            }
        )+ };
    }
    status! {
        "ok" => Status::Ok,
        "OK" => Status::Ok,
        String::from("Error") => Status::error(""),
        tracing::field::debug(Status::Ok) => Status::Ok,
        tracing::field::display("error") => Status::error(""),
        1 => Status::Ok,
        2 => Status::error(""),
        2_u8 => Status::error(""),
        2_i128 => Status::error(""),
        0 => Status::Unset,
        "2" => Status::error(""),
        3 => Status::Unset,
        -1 => Status::Unset,
        true => Status::Unset,
        "failed" => Status::Unset,
    }
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        drop(info_span!("a", otel.name = 17, component = 3));
        drop(info_span!("b", otel.name = &Boom as &(dyn Error + 'static), error.type = 500));
    });
    assert_eq!(attribute(&pipeline.span("17"), "component"), Some(3.into()));
    let boom = pipeline.span("boom");
    assert_eq!((&boom.status, attribute(&boom, "error.type")), (&Status::error(""), Some("500".into())));
}

// ===== values whose code misbehaves =====

/// An error that is its own source.
#[derive(Debug)]
struct Ring;

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("again")
    }
}

impl Error for Ring {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Ring)
    }
}

/// A value whose `Debug` and `Display` panic.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("this message is expected in the test's output")
    }
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Panics {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        panic!("this message is expected in the test's output")
    }
}

/// A value whose text never ends.
#[derive(Clone, Copy)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        loop {
            f.write_str("more and ")?;
        }
    }
}

impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Endless {}

#[test]
fn p33_misbehaving_values_do_no_harm() {
    macro_rules! check {
        ($error:expr, $message:expr) => {
            for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff] {
                let everywhere = Everywhere::new(sampling.clone());
                everywhere.run(|| {
                    let error = &$error as &(dyn Error + 'static);
                    let span = info_span!("span", value = error, error.type = Empty, otel.name = "named");
                    span.record("error.type", error);
                    span.in_scope(|| error!(error, value = %$error, debug = ?$error, "{}", $error));
                    span.in_scope(|| error!(error));
                });
                for line in everywhere.json.lines().iter().chain(&everywhere.human.lines()) {
                    let short: String = line.chars().take(500).collect();
                    assert!(line.len() < 600_000 && line.contains($message), "{}: {short}", line.len());
                }
                let logs = everywhere.logged();
                assert_eq!(logs.len(), 2);
                if sampling == Sampling::AlwaysOn {
                    let span = everywhere.pipeline.span("named");
                    assert!(matches!(&span.status, Status::Error { description } if description.contains($message)));
                    for text in span.events.iter().flat_map(|event| &event.attributes) {
                        assert!(text.value.as_str().len() <= 4_096, "{}", text.key);
                    }
                }
            }
        };
    }
    check!(Ring, "again");
    let pipeline = Pipeline::new();
    pipeline.run(|| drop(info_span!("ring", error = &Ring as &(dyn Error + 'static))));
    let chain = attribute(&pipeline.span("ring"), "exception.stacktrace").unwrap().to_string();
    assert_eq!(chain.matches("again").count(), 17, "not the error and 16 causes: {chain}");
    check!(Panics, "(it panicked)");
    check!(Endless, "more and more");
}

#[test]
fn an_error_is_recorded_with_its_whole_chain() {
    let everywhere = Everywhere::new(Sampling::AlwaysOn);
    everywhere.run(|| {
        let outer = Outer(io::Error::other(Outer(io::Error::other("inner"))));
        let error = &outer as &(dyn Error + 'static);
        let _span = info_span!("span", error).entered();
        error!(error, cause = &Boom as &(dyn Error + 'static), "failed");
    });
    let span = everywhere.pipeline.span("span");
    let chain = "outer\ncaused by: outer\ncaused by: inner";
    assert_eq!(attribute(&span, "exception.stacktrace"), Some(chain.into()));
    assert_eq!(attribute(&span, "error"), Some("outer".into()));
    let of_event = |key: &str| {
        let found: Vec<_> = span.events[0].attributes.iter().filter(|it| it.key.as_str() == key).collect();
        assert!(found.len() < 2, "{key} is there twice");
        found.first().map(|it| it.value.to_string())
    };
    assert_eq!(of_event("exception.stacktrace").as_deref(), Some(chain));
    assert_eq!(
        of_event("exception.message").as_deref(),
        Some("outer"),
        "the field `error` is not the exception"
    );
    assert_eq!(of_event("cause").as_deref(), Some("boom"));
    assert_eq!(span.status, Status::error("outer"));
    let line: serde_json::Value = serde_json::from_str(&everywhere.json.lines()[0]).unwrap();
    assert_eq!(line["fields"]["error"], "outer: outer: inner");
}
