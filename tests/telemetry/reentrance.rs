//! P32: logs of the pipeline do not enter the pipeline again. Tests that need a global subscriber are in `installed.rs`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::telemetry::Console;
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tracing::field::Empty;
use tracing::{Level, error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{Pipeline, Sink, in_time};

/// A processor that logs and traces in each method, as parts of OpenTelemetry do.
#[derive(Clone, Debug, Default)]
struct Chatty(Arc<AtomicUsize>);

impl SpanProcessor for Chatty {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _own = info_span!("processing", name = %span.name).entered();
        info!("a span ended");
        error!(target: "opentelemetry_sdk", "a log of the SDK");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn p32_a_processor_may_log_and_trace() {
    in_time(|| {
        let chatty = Chatty::default();
        let pipeline = Pipeline::with(|builder| builder.span_processor(chatty.clone()));
        pipeline.run(|| {
            let _outer = info_span!("outer").entered();
            drop(info_span!("inner"));
        });
        assert_eq!(chatty.0.load(Ordering::Relaxed), 2, "its own spans are processed again");
        assert_eq!(pipeline.spans().len(), 2);
        let outer = pipeline.span("outer");
        assert!(outer.events.is_empty(), "{:?}", outer.events);
    });
}

#[test]
fn p32_logs_of_opentelemetry_reach_the_console_only() {
    in_time(|| {
        let sink = Sink::default();
        let pipeline = Pipeline::with(|builder| {
            let sink = sink.clone();
            builder.console_writer(move || sink.clone())
        });
        let subscriber = tracing_subscriber::registry()
            .with(pipeline.telemetry.span_layer())
            .with(pipeline.telemetry.console_layer())
            .with(tracing_subscriber::filter::LevelFilter::from_level(Level::TRACE));
        tracing::subscriber::with_default(subscriber, || {
            let _span = info_span!("span").entered();
            // More contexts than OpenTelemetry's stack can hold. OpenTelemetry warns about it while the stack is borrowed.
            let attached: Vec<_> = (0..=u16::MAX).map(|_| Context::new().attach()).collect();
            drop(attached);
            let _own = info_span!(target: "opentelemetry_sdk::trace", "own").entered();
        });
        assert_eq!(pipeline.spans().len(), 1);
        let span = pipeline.span("span");
        assert!(span.events.is_empty(), "{:?}", span.events.first());
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("Too many contexts"), "the console lacks the warning: {text:.200}");
    });
}

/// A value whose `Debug` logs and traces.
struct Talks;

impl fmt::Debug for Talks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _own = info_span!("printing").entered();
        info!("it is printed");
        f.write_str("talks")
    }
}

#[test]
fn p32_a_value_may_log_and_trace_wherever_it_is_printed() {
    for console in [Console::Off, Console::Human, Console::Json] {
        in_time(move || {
            let sink = Sink::default();
            let writer = sink.clone();
            let pipeline =
                Pipeline::with(|builder| builder.console(console).console_writer(move || writer.clone()));
            let subscriber = tracing_subscriber::registry()
                .with(pipeline.telemetry.span_layer())
                .with(pipeline.telemetry.console_layer());
            tracing::subscriber::with_default(subscriber, || {
                let span = info_span!("outer", first = ?Talks, late = Empty).entered();
                // `tracing-subscriber` holds a lock of the span while the value is printed.
                span.record("late", tracing::field::debug(Talks));
                info!(value = ?Talks, "end");
            });
            let outer = pipeline.span("outer");
            assert_eq!(crate::support::attribute(&outer, "late").unwrap().as_str(), "talks");
            let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            assert!(
                console == Console::Off || text.lines().last().unwrap().matches("talks").count() == 3,
                "{text}"
            );
        });
    }
}
