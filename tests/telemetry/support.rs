//! A pipeline with an in-memory exporter of spans.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::TelemetryBuilder;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

/// A timeout that no correct test reaches, on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A writer that keeps what a console writes.
#[derive(Clone, Default)]
pub(crate) struct Sink(pub(crate) Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Pipeline {
    pub(crate) telemetry: Telemetry,
    exporter: InMemorySpanExporter,
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder) -> Self {
        let exporter = InMemorySpanExporter::default();
        let builder = Telemetry::builder("test").variables(|_| None).span_exporter(exporter.clone());
        let telemetry = configure(builder).build().expect("the settings are valid");
        Self { telemetry, exporter }
    }

    /// A subscriber of a registry and the span layer only.
    pub(crate) fn dispatch(&self) -> Dispatch {
        Dispatch::new(tracing_subscriber::registry().with(self.telemetry.span_layer()))
    }

    /// Runs `action` with that subscriber as the default.
    pub(crate) fn run<R>(&self, action: impl FnOnce() -> R) -> R {
        tracing::dispatcher::with_default(&self.dispatch(), action)
    }

    /// All exported spans, in the order in which they closed.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        assert!(self.telemetry.force_flush(LONG), "the flush fails");
        self.exporter.get_finished_spans().expect("the exporter keeps spans")
    }

    pub(crate) fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span.clone(),
            _ => panic!("there is not exactly one span `{name}` in {:?}", names(&spans)),
        }
    }
}

pub(crate) fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_ref()).collect()
}

/// Asserts that `parent` is the parent of `child`.
#[track_caller]
pub(crate) fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(
        child.span_context.trace_id(),
        parent.span_context.trace_id(),
        "{} and {}",
        child.name,
        parent.name
    );
    assert_eq!(
        child.parent_span_id,
        parent.span_context.span_id(),
        "{} is no child of {}",
        child.name,
        parent.name
    );
}

/// Runs a service under the subscriber of a pipeline, also in the tasks of a server.
#[cfg(feature = "http")]
#[derive(Clone)]
pub(crate) struct Scoped<S> {
    inner: S,
    dispatch: Dispatch,
}

#[cfg(feature = "http")]
impl<S: tower::Service<R>, R> tower::Service<R> for Scoped<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = tracing::instrument::WithDispatch<S::Future>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self { inner, dispatch } = self;
        let call = tracing::dispatcher::with_default(dispatch, || inner.call(request));
        tracing::instrument::WithSubscriber::with_subscriber(call, dispatch.clone())
    }
}

/// A layer that runs services under `dispatch`.
#[cfg(feature = "http")]
pub(crate) fn scoped<S>(dispatch: Dispatch) -> impl tower::Layer<S, Service = Scoped<S>> + Clone {
    tower::layer::layer_fn(move |inner| Scoped { inner, dispatch: dispatch.clone() })
}

/// A pipeline without a subscriber, for its layers.
#[cfg(feature = "http")]
pub(crate) fn plain() -> Telemetry {
    Telemetry::builder("test").variables(|_| None).build().expect("the settings are valid")
}

/// A service that answers with the headers of the request.
#[cfg(feature = "http")]
pub(crate) async fn echo(
    request: http::Request<()>,
) -> Result<http::Response<String>, std::convert::Infallible> {
    let mut response = http::Response::new(String::new());
    response.headers_mut().clone_from(request.headers());
    Ok(response)
}

pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes.iter().find(|it| it.key.as_str() == key).map(|it| it.value.clone())
}

/// A context with a span of another service.
pub(crate) fn remote(trace: u128, span: u64, sampled: bool) -> Context {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let context =
        SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, true, TraceState::default());
    Context::new().with_remote_span_context(context)
}

/// A runtime of three threads with this default subscriber.
pub(crate) fn runtime(dispatch: &Dispatch) -> tokio::runtime::Runtime {
    let dispatch = dispatch.clone();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        // The guard is forgotten: the subscriber stays for the life of the thread.
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
        .build()
        .expect("the runtime starts")
}

/// Runs `action` on a thread. Panics if it takes longer than [`LONG`].
pub(crate) fn in_time<R: Send + 'static>(action: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || done.send(action()));
    match result.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the action hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the action ended without a result"),
        },
    }
}
