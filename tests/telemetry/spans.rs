//! The contents of exported spans.

use std::error::Error;
use std::fmt;

use campanile::telemetry::{Sampling, SpanLimits};
use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status};
use tracing::field::Empty;
use tracing::{error, info, info_span};

use crate::support::{Pipeline, attribute, names};

#[test]
fn fields_become_attributes_by_their_types() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let span = info_span!(
            "order",
            n = -1,
            u = 7_u64,
            huge = u64::MAX,
            f = 1.5,
            b = true,
            s = "text",
            d = ?Some(1),
            late = Empty
        );
        span.record("late", "now");
        span.record("n", 2);
    });
    let span = pipeline.span("order");
    for (key, value) in [
        ("n", Value::I64(2)),
        ("u", Value::I64(7)),
        ("huge", u64::MAX.to_string().into()),
        ("f", Value::F64(1.5)),
        ("b", Value::Bool(true)),
        ("s", "text".into()),
        ("d", "Some(1)".into()),
        ("late", "now".into()),
        ("code.module.name", module_path!().into()),
        ("code.file.path", file!().into()),
    ] {
        assert_eq!(attribute(&span, key), Some(value), "{key}");
    }
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.span_kind, SpanKind::Internal);
    assert!(span.end_time >= span.start_time);
}

#[test]
fn otel_fields_set_properties_and_are_no_attributes() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let path = "/orders/7";
        drop(info_span!(
            "request",
            otel.name = %format_args!("GET {path}"),
            otel.kind = "Server",
            otel.status_code = "ERROR",
            otel.status_description = "teapot"
        ));
        let late = info_span!("late", otel.name = Empty, otel.status_code = Empty);
        late.record("otel.name", "renamed");
        late.record("otel.status_code", "ok");
    });
    let span = pipeline.span("GET /orders/7");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::error("teapot"));
    assert!(span.attributes.iter().all(|it| !it.key.as_str().starts_with("otel.")), "{:?}", span.attributes);
    assert_eq!(pipeline.span("renamed").status, Status::Ok);
}

#[test]
fn an_error_event_fails_its_span_and_no_other() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let _outer = info_span!("outer").entered();
        let inner = info_span!("inner").entered();
        info!(n = 1, "fine");
        error!("broken");
        drop(inner);
        let explicit = info_span!("explicit", otel.status_code = "ok").entered();
        error!("does not count");
        drop(explicit);
    });
    let inner = pipeline.span("inner");
    assert_eq!(inner.status, Status::error("broken"));
    let texts: Vec<_> = inner.events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(texts, ["fine", "broken"]);
    let levels: Vec<_> =
        inner.events[0].attributes.iter().map(|it| (it.key.as_str(), it.value.to_string())).collect();
    assert_eq!(levels[..2], [("n", "1".to_owned()), ("level", "INFO".to_owned())]);
    for event in inner.events.iter() {
        assert!(event.timestamp >= inner.start_time && event.timestamp <= inner.end_time);
    }
    assert_eq!(pipeline.span("outer").status, Status::Unset);
    assert_eq!(pipeline.span("explicit").status, Status::Ok);
}

#[derive(Debug)]
struct Outer(std::io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no order")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_is_recorded_with_its_causes() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let _span = info_span!("order").entered();
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        error!(error = &Outer(cause) as &(dyn Error + 'static), "giving up");
        let io = std::io::Error::other("full");
        error!(exception = &io as &(dyn Error + 'static));
    });
    let span = pipeline.span("order");
    let get = |event: usize, key: &str| {
        let found = span.events[event].attributes.iter().find(|it| it.key.as_str() == key);
        found.map(|it| it.value.to_string())
    };
    assert_eq!(get(0, "exception.message").as_deref(), Some("no order"));
    assert_eq!(get(0, "exception.stacktrace").as_deref(), Some("no order\ncaused by: connection refused"));
    assert_eq!(get(0, "exception.type").as_deref(), Some("Outer"));
    assert_eq!(get(1, "exception.type").as_deref(), Some("std::io::error::Error"));
    assert_eq!(span.status, Status::error("full"));
}

/// An error that is its own source.
#[derive(Debug)]
struct Ring;

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ring")
    }
}

impl Error for Ring {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn an_error_that_is_its_own_source_has_a_bounded_chain() {
    let mut unlimited = campanile::telemetry::SpanLimits::default();
    unlimited.value_length = usize::MAX;
    let pipeline = Pipeline::with(|builder| builder.configure(|settings| settings.limits = unlimited));
    pipeline.run(|| {
        let _span = info_span!("order", error = &Ring as &(dyn Error + 'static)).entered();
        error!(error = &Ring as &(dyn Error + 'static), "giving up");
    });
    let span = pipeline.span("order");
    for attributes in [&span.attributes, &span.events[0].attributes] {
        let trace = attributes.iter().find(|it| it.key.as_str() == "exception.stacktrace").unwrap();
        assert_eq!(trace.value.as_str().matches("caused by: ring").count(), 16);
    }
}

#[tracing::instrument(err)]
fn fails() -> Result<(), Outer> {
    Err(Outer(std::io::Error::other("why")))
}

#[test]
fn an_error_recorded_by_instrument_fails_the_span() {
    let pipeline = Pipeline::new();
    pipeline.run(|| fails().unwrap_err());
    assert_eq!(pipeline.span("fails").status, Status::error("no order"));
}

#[test]
fn follows_from_is_a_link() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let first = info_span!("first");
        let second = info_span!("second");
        second.follows_from(&first);
    });
    let (first, second) = (pipeline.span("first"), pipeline.span("second"));
    assert_eq!(second.links.len(), 1);
    assert_eq!(second.links[0].span_context.span_id(), first.span_context.span_id());
    assert_ne!(second.span_context.trace_id(), first.span_context.trace_id());
}

#[test]
fn sampling_decides_for_whole_traces() {
    let pipeline = Pipeline::with(|builder| builder.sampling(Sampling::parent_based(Sampling::Ratio(0.3))));
    pipeline.run(|| {
        for _ in 0..300 {
            let _root = info_span!("root").entered();
            drop(info_span!("child"));
        }
    });
    let spans = pipeline.spans();
    let count = |name: &str| names(&spans).iter().filter(|it| **it == name).count();
    assert_eq!(count("root"), count("child"));
    // The bounds are so far from the mean that 300 random draws practically never reach them.
    assert!((20..180).contains(&count("root")), "{}", count("root"));
}

fn small() -> SpanLimits {
    let mut limits = SpanLimits::default();
    (limits.attributes, limits.events, limits.links) = (4, 8, 2);
    (limits.event_attributes, limits.value_length) = (3, 16);
    limits
}

#[test]
fn p33_a_span_is_bounded_and_counts_what_it_dropped() {
    let pipeline = Pipeline::with(|builder| {
        builder.configure(|settings| {
            settings.limits = small();
            settings.code_attributes = false;
        })
    });
    pipeline.run(|| {
        let span = info_span!("old", a = 1, b = 2, c = 3, d = "x".repeat(1_000), e = 5, f = 6);
        span.record("a", 7);
        for _ in 0..10 {
            span.follows_from(info_span!("other").id());
        }
        let _entered = span.enter();
        for n in 0..10_000 {
            info!(n, p = 1, q = 2, r = 3, "{}", "y".repeat(1_000));
        }
        error!("the last word");
    });
    let span = pipeline.span("old");
    assert_eq!(span.attributes.len(), 4);
    assert_eq!(span.dropped_attributes_count, 2);
    assert_eq!(attribute(&span, "a"), Some(Value::I64(7)));
    assert_eq!(attribute(&span, "d"), Some("x".repeat(16).into()));
    assert_eq!((span.events.len(), span.events.dropped_count), (8, 9_993));
    assert_eq!((span.links.len(), span.links.dropped_count), (2, 8));
    for event in span.events.iter() {
        assert_eq!((event.attributes.len(), event.dropped_attributes_count), (3, 3));
        assert_eq!(event.name, "y".repeat(16));
    }
    assert_eq!(span.status, Status::error("the last word"), "the event was dropped, and the failure with it");
}
