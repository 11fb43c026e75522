//! Globally installed telemetry: one pipeline for all tests of this binary.

#![cfg(feature = "telemetry")]

use std::fmt;
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::{Console, SpanExt, TelemetryError};
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tracing::field::Empty;
use tracing::{debug_span, info, info_span};

const LONG: Duration = Duration::from_secs(60);

static EXPORTER: LazyLock<InMemorySpanExporter> = LazyLock::new(InMemorySpanExporter::default);
static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| {
    let builder = Telemetry::builder("installed").variables(|_| None);
    #[cfg(feature = "prometheus")]
    let builder = builder.prometheus();
    builder
        .console(Console::Off)
        .env_filter("info,installed::noise=off")
        .span_exporter(EXPORTER.clone())
        .install()
        .expect("nothing else is installed in this process")
});

/// The exported spans of the trace of `root`, in the order in which they closed.
fn trace(root: &tracing::Span) -> Vec<SpanData> {
    let id = root.trace_id().expect("the layer sees the span");
    assert!(TELEMETRY.force_flush(LONG));
    let spans = EXPORTER.get_finished_spans().unwrap();
    spans.into_iter().filter(|span| span.span_context.trace_id() == id).collect()
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_ref()).collect()
}

#[test]
fn everything_global_is_set() {
    LazyLock::force(&TELEMETRY);
    let root = info_span!("root");
    root.in_scope(|| {
        let tracer = opentelemetry::global::tracer("native");
        tracer.in_span("native", |cx| {
            assert_eq!(Some(cx.span().span_context().trace_id()), root.trace_id());
            let mut headers = std::collections::HashMap::new();
            opentelemetry::global::get_text_map_propagator(|it| it.inject_context(&cx, &mut headers));
            assert!(headers["traceparent"].contains(&root.trace_id().unwrap().to_string()));
        });
    });
    assert_eq!(names(&trace(&root)), ["native"]);
}

#[test]
fn a_second_pipeline_is_refused_and_changes_nothing() {
    LazyLock::force(&TELEMETRY);
    let error = Telemetry::builder("second").variables(|_| None).install().unwrap_err();
    assert!(matches!(error, TelemetryError::SubscriberSet), "{error}");
    assert!(error.to_string().contains("already has a global tracing subscriber"), "{error}");
    let root = info_span!("root");
    root.in_scope(|| drop(info_span!("child")));
    assert_eq!(names(&trace(&root)), ["child"]);
}

#[test]
fn filtered_spans_are_not_exported() {
    LazyLock::force(&TELEMETRY);
    let root = info_span!("root");
    root.in_scope(|| {
        let _quiet = debug_span!("quiet").entered();
        let _noise = info_span!(target: "installed::noise", "noise").entered();
        drop(info_span!("leaf"));
    });
    let id = root.context().span().span_context().span_id();
    let spans = trace(&root);
    assert_eq!(names(&spans), ["leaf"]);
    assert_eq!(spans[0].parent_span_id, id);
}

#[tokio::test]
async fn a_dead_letter_holds_the_trace_id_of_its_failure() {
    use campanile::DeadLetterQueue;
    use campanile::store::LetterFilter;
    use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
    use tracing::Instrument;

    LazyLock::force(&TELEMETRY);
    let queue = DeadLetterQueue::in_memory(10);
    let fails = service_fn(|_: u32| async { Err::<(), BoxError>("no".into()) });
    let service = ServiceBuilder::new().layer(queue.layer()).service(fails);
    let root = info_span!("root");
    service.oneshot(1).instrument(root.clone()).await.unwrap_err();
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    let text = format!("{letter:?}");
    assert!(text.contains(&root.trace_id().unwrap().to_string()), "{text}");
}

#[test]
fn an_error_names_a_bad_filter() {
    let build = |filter: &'static str, rust_log: Option<&'static str>| {
        let read = move |name: &str| rust_log.filter(|_| name == "RUST_LOG").map(ToOwned::to_owned);
        Telemetry::builder("filter").env_filter(filter).variables(read).install()
    };
    for (result, setting) in
        [(build("a=b=c", None), "env_filter"), (build("info", Some("a=b=c")), "RUST_LOG")]
    {
        let Err(TelemetryError::Setting(error)) = result else { panic!("a bad filter is accepted") };
        assert_eq!((error.setting(), error.value()), (setting, "a=b=c"));
    }
}

/// A value whose `Debug` logs and traces.
struct Loud<'a>(&'a tracing::Span);

impl fmt::Debug for Loud<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("printing");
        self.0.record("seen", true);
        drop(info_span!("printer"));
        f.write_str("loud")
    }
}

#[test]
fn p32_a_value_may_log_and_trace_when_it_is_printed() {
    LazyLock::force(&TELEMETRY);
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let root = info_span!("root");
        root.in_scope(|| {
            let span = info_span!("span", seen = Empty, value = Empty);
            let _entered = span.enter();
            span.record("value", tracing::field::debug(Loud(&span)));
            info!(value = ?Loud(&span), "event");
            drop(info_span!("child", value = ?Loud(&span)));
        });
        done.send(trace(&root)).unwrap();
    });
    let spans = result.recv_timeout(LONG).expect("the thread does not hang");
    assert_eq!(names(&spans), ["printer", "printer", "printer", "child", "span"]);
    let span = &spans[4];
    let texts: Vec<_> = span.events.iter().map(|it| it.name.as_ref()).collect();
    assert_eq!(texts, ["printing", "printing", "event", "printing"]);
    for inner in &spans[..4] {
        assert_eq!(inner.parent_span_id, span.span_context.span_id(), "{}", inner.name);
    }
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn durations_of_a_layer_are_exported_by_kind_of_failure() {
    use campanile::Timing;
    use campanile::outcome::{FailureKind, Outcome};
    use std::error::Error;
    use tower::{Layer, ServiceExt, service_fn};

    LazyLock::force(&TELEMETRY);
    let timing = Timing::new("by kind");
    let inner =
        service_fn(|kind: Option<FailureKind>| async move { kind.map_or(Ok(()), |kind| Err(kind.as_str())) });
    let by_kind = |result: Result<&(), &(dyn Error + 'static)>| match result {
        Ok(()) => Outcome::Success,
        Err(error) => {
            let text = error.to_string();
            Outcome::Failure(FailureKind::ALL.into_iter().find(|kind| kind.as_str() == text).unwrap())
        }
    };
    let service = timing.layer().classify(by_kind).layer(inner);
    service.clone().oneshot(None).await.unwrap();
    for kind in FailureKind::ALL {
        for _ in 0..=kind.index() {
            service.clone().oneshot(Some(kind)).await.unwrap_err();
        }
    }
    let text = TELEMETRY.prometheus_text();
    let calls = |error_type: &str| {
        let series =
            format!(r#"campanile_timing_duration_seconds_count{{{error_type}operation="by kind"}} "#);
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse::<usize>().unwrap()
    };
    assert_eq!(calls(""), 1);
    for kind in FailureKind::ALL {
        assert_eq!(calls(&format!(r#"error_type="{}","#, kind.as_str())), kind.index() + 1);
    }
}

#[cfg(all(feature = "prometheus", feature = "worker"))]
#[tokio::test]
async fn durations_of_a_worker_are_exported_by_kind_of_failure() {
    use std::future::ready;
    use std::io;

    LazyLock::force(&TELEMETRY);
    let worker = campanile::Worker::builder("installed").build().unwrap();
    let times_out = || ready(Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)));
    worker.track("fetch", 1, ready(Ok::<_, io::Error>(()))).await.unwrap();
    worker.track("fetch", 1, times_out()).await.unwrap_err();
    worker.task("sync").run(times_out()).await.unwrap_err();
    let text = TELEMETRY.prometheus_text();
    for series in [
        r#"operation_duration_seconds_count{operation="fetch",worker="installed"}"#,
        r#"operation_duration_seconds_count{error_type="timeout",operation="fetch",worker="installed"}"#,
        r#"task_duration_seconds_count{error_type="timeout",task="sync",worker="installed"}"#,
    ] {
        let line = format!("campanile_worker_{series} 1");
        assert!(text.lines().any(|known| known == line), "no {line} in {text}");
    }
}

#[cfg(all(feature = "checks", feature = "prometheus"))]
#[tokio::test(start_paused = true)]
async fn durations_of_the_queries_of_a_pool_are_exported_by_error() {
    use campanile::health::{Every, Finding, PoolCheck, PoolState};
    use std::sync::atomic::{AtomicU32, Ordering};

    static RUNS: AtomicU32 = AtomicU32::new(0);
    LazyLock::force(&TELEMETRY);
    let query = || async {
        match RUNS.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Finding::Pass,
            1 => Finding::Fail("refused".to_owned()),
            _ => std::future::pending().await,
        }
    };
    let state = || PoolState { size: 1, idle: 1, max: 1, waiting: None };
    let check = PoolCheck::new(state, query).system("installed-sql");
    let check = TELEMETRY.health().check("installed-db", Every::seconds(3_600), check).unwrap();
    for _ in 0..3 {
        check.run().await;
    }
    let text = TELEMETRY.prometheus_text();
    for error in ["", r#",error_type="_OTHER""#, r#",error_type="timeout""#] {
        let series = format!(
            r#"db_client_operation_duration_seconds_count{{db_system_name="installed-sql"{error}}} "#
        );
        assert!(text.lines().any(|line| line.starts_with(&series)), "no {series} in {text}");
    }
}

#[cfg(all(feature = "http", feature = "prometheus"))]
#[tokio::test]
async fn the_duration_of_a_request_has_an_exemplar_of_its_span() {
    use std::convert::Infallible;

    use campanile::Timing;
    use http::{Request, Response};
    use http_body_util::Empty;
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    use tower::{Layer, ServiceExt, service_fn};
    use tracing::Instrument;

    LazyLock::force(&TELEMETRY);
    let timing = Timing::new("exemplars");
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new())) });
    let call = async |host: &str| {
        let request = Request::get(format!("http://{host}/")).body(()).unwrap();
        timing.http_client_layer().layer(inner).oneshot(request).await.unwrap();
    };
    let span = info_span!("calls");
    call("sampled.test").instrument(span.clone()).await;
    call("alone.test").await;
    // The caller did not sample this trace.
    let ids = (TraceId::from_bytes([9; 16]), SpanId::from_bytes([9; 8]));
    let remote = SpanContext::new(ids.0, ids.1, TraceFlags::default(), true, TraceState::NONE);
    let unsampled = info_span!("unsampled");
    unsampled.set_parent(Context::new().with_remote_span_context(remote));
    call("unsampled.test").instrument(unsampled).await;

    let text = TELEMETRY.openmetrics_text();
    let exemplars = |host: &str| -> Vec<&str> {
        let of_host = format!("server_address=\"{host}\"");
        let buckets = text.lines().filter(|line| line.contains("_request_duration_seconds_bucket{"));
        let buckets: Vec<_> = buckets.filter(|line| line.contains(&of_host)).collect();
        assert!(!buckets.is_empty(), "{host}: {text}");
        buckets.into_iter().filter_map(|line| Some(line.split_once(" # ")?.1)).collect()
    };
    let found = exemplars("sampled.test");
    assert_eq!(found.len(), 1, "{found:?}");
    let span_id = span.context().span().span_context().span_id();
    let expected = format!("{{trace_id=\"{}\",span_id=\"{span_id}\"}} ", span.trace_id().unwrap());
    assert!(found[0].starts_with(&expected), "{found:?}");
    assert_eq!(exemplars("alone.test"), [""; 0]);
    assert_eq!(exemplars("unsampled.test"), [""; 0]);
}

#[cfg(all(feature = "http", feature = "prometheus", feature = "timing"))]
#[tokio::test]
async fn the_span_of_a_request_is_the_exemplar_of_its_duration_and_each_is_counted_once() {
    use std::convert::Infallible;

    use campanile::Timing;
    use http::{Request, Response};
    use http_body_util::Empty;
    use tower::{Layer, ServiceExt, service_fn};

    LazyLock::force(&TELEMETRY);
    let timing = Timing::new("served");
    let spans = || TELEMETRY.http_server_layer();
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    for (path, outside) in [("/spans-outside", true), ("/spans-inside", false)] {
        let request = Request::get(path).body(()).unwrap();
        let route = move |_: &http::request::Parts| Some(path.to_owned());
        let (timed, traced) = (timing.http_server_layer().route(route), spans().route(route));
        if outside {
            traced.layer(timed.layer(inner)).oneshot(request).await.unwrap();
        } else {
            timed.layer(traced.layer(inner)).oneshot(request).await.unwrap();
        }
        let text = TELEMETRY.openmetrics_text();
        let series = |name: &str, label: &str| {
            let lines: Vec<_> =
                text.lines().filter(|line| line.starts_with(name) && line.contains(label)).collect();
            lines.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let of_route = format!("http_route=\"{path}\"");
        let requests = series("http_server_request_duration_seconds_count", &of_route);
        let of_name = format!("span_name=\"GET {path}\"");
        let closed = series("campanile_span_duration_seconds_count", &of_name);
        for count in [&requests, &closed] {
            assert!(count.len() == 1 && count[0].ends_with(" 1"), "{path}: {count:?}");
        }
        assert!(TELEMETRY.force_flush(LONG));
        let name = format!("GET {path}");
        let exported = EXPORTER.get_finished_spans().unwrap();
        let span = exported.iter().find(|span| span.name == name).unwrap().span_context.span_id();
        let buckets = series("http_server_request_duration_seconds_bucket", &of_route);
        let exemplars = buckets.iter().filter(|line| line.contains(&format!("span_id=\"{span}\""))).count();
        assert_eq!(exemplars, usize::from(outside), "{path}: {buckets:?}");
    }
}
