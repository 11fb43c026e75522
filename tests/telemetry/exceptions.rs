//! Errors on spans, with and without the setting that records them as `tracing-opentelemetry` does.

use std::error::Error;
use std::io;

use campanile::telemetry::{Sampling, TelemetrySettings};
use opentelemetry::trace::Status;
use tracing::field::Empty;
use tracing::{error, info, info_span, warn};

use crate::support::{Pipeline, attribute};

#[tracing::instrument(err)]
fn fails() -> io::Result<()> {
    Err(io::Error::other("no money"))
}

fn events() {
    let _span = info_span!("span").entered();
    let first = io::Error::other("first");
    warn!(error = &first as &(dyn Error + 'static), "retrying");
    info!("no error");
    error!(error = "second", "giving up");
    error!("without an error");
    info!(error = "third", "never mind");
}

fn pipeline(exception_events: bool) -> Pipeline {
    Pipeline::with(|builder| builder.configure(|settings| settings.exception_events = exception_events))
}

#[test]
fn an_error_becomes_an_exception_event_and_span_attributes() {
    let pipeline = pipeline(true);
    pipeline.run(|| {
        events();
        fails().unwrap_err();
    });
    let span = pipeline.span("span");
    let names: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(names, ["exception", "no error", "exception", "without an error", "exception"]);
    let of_event = |event: usize, key: &str| {
        let found = span.events[event].attributes.iter().find(|it| it.key.as_str() == key);
        found.map(|it| it.value.to_string())
    };
    assert_eq!(of_event(0, "message").as_deref(), Some("retrying"));
    assert_eq!(of_event(0, "exception.message").as_deref(), Some("first"));
    assert_eq!(of_event(0, "exception.type").as_deref(), Some("std::io::error::Error"));
    assert_eq!(of_event(2, "message").as_deref(), Some("giving up"));
    assert_eq!(of_event(4, "exception.message").as_deref(), Some("third"));
    assert_eq!(attribute(&span, "exception.message"), Some("third".into()), "not the last error");
    let fails = pipeline.span("fails");
    assert_eq!(fails.events[0].name, "exception");
    assert_eq!(attribute(&fails, "exception.message"), Some("no money".into()));
    assert_eq!(fails.status, Status::error("no money"));
}

#[test]
fn without_the_setting_an_event_is_named_by_its_message() {
    let pipeline = pipeline(false);
    pipeline.run(|| {
        events();
        fails().unwrap_err();
        drop(info_span!("described", otel.status_description = "teapot"));
    });
    let span = pipeline.span("span");
    let names: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(names, ["retrying", "no error", "giving up", "without an error", "never mind"]);
    assert_eq!(attribute(&span, "exception.message"), None);
    let has_message = span.events[0].attributes.iter().any(|it| it.key.as_str() == "exception.message");
    assert!(has_message, "events lack the attributes without the setting");
    assert_ne!(pipeline.span("fails").events[0].name, "exception");
    assert_eq!(pipeline.span("described").status, Status::Unset);
    assert!(
        !TelemetrySettings::new("test").exception_events,
        "the setting is off by default, because the conventions want log records"
    );
}

#[test]
fn a_status_description_alone_is_a_failure() {
    for sampling in [Sampling::AlwaysOn, Sampling::AlwaysOff] {
        let pipeline = Pipeline::with(|builder| {
            builder.configure(|settings| settings.exception_events = true).sampling(sampling.clone())
        });
        pipeline.run(|| {
            drop(info_span!("described", otel.status_description = "teapot"));
            let late = info_span!("late", otel.status_description = Empty);
            late.record("otel.status_description", "teapot");
            drop(late);
            drop(info_span!("fine", otel.status_description = "teapot", otel.status_code = "ok"));
            drop(info_span!("unset", otel.status_description = "teapot", otel.status_code = 0));
        });
        let health = pipeline.telemetry.health().snapshot();
        let component = health.component(env!("CARGO_CRATE_NAME")).unwrap();
        let calls = component.calls.as_ref().unwrap();
        assert_eq!((calls.total, calls.failed), (4, 2), "{sampling:?}");
        if sampling == Sampling::AlwaysOn {
            for (name, status) in [
                ("described", Status::error("teapot")),
                ("late", Status::error("teapot")),
                ("fine", Status::Ok),
                ("unset", Status::Unset),
            ] {
                assert_eq!(pipeline.span(name).status, status, "{name}");
            }
        }
    }
}
