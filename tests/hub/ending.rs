//! The end of a program: its last handle, `end`, `serve` and a signal; and what it says meanwhile.

use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use campanile::serve::ShutdownStep;
use campanile::{Campanile, DeadLetterQueue};
use http::StatusCode;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData, SpanExporter};

use crate::alone::{Child, alone, is_alone, say};
use crate::program::{program, started};
use crate::support::ports;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_last_handle_ends_the_program_and_exports_the_last_spans() {
    alone("ending::the_last_handle_ends_the_program_and_exports_the_last_spans", || {
        let exporter = KeepsAll(InMemorySpanExporter::default());
        let of_program = exporter.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert!(Campanile::global().is_none());
            let builder =
                program(&[]).telemetry(move |telemetry| telemetry.span_exporter(of_program.clone()));
            let campanile = builder.start().await.unwrap();
            assert_eq!(campanile.faults(), []);
            let again = Campanile::global().unwrap();
            again
                .dependency("payments")
                .build()
                .await
                .unwrap()
                .call(|| async { Ok::<_, String>(()) })
                .await
                .unwrap();
            drop(campanile);
            assert!(Campanile::global().is_some(), "a handle is left");
            drop(again);
            assert!(Campanile::global().is_none());
        });
        let spans = exporter.0.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 1, "{spans:?}");
    });
}

/// Its `shutdown` forgets nothing.
#[derive(Clone, Debug)]
struct KeepsAll(InMemorySpanExporter);

impl SpanExporter for KeepsAll {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch).await
    }
}

#[derive(Debug)]
struct NeverEnds;

impl SpanExporter for NeverEnds {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        std::future::pending().await
    }
}

#[test]
fn an_exporter_that_hangs_does_not_keep_the_last_handle() {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let campanile =
                program(&[]).telemetry(|telemetry| telemetry.span_exporter(NeverEnds)).start().await;
            let campanile = campanile.unwrap();
            use tracing_subscriber::prelude::*;
            let subscriber = tracing_subscriber::registry().with(campanile.telemetry().span_layer());
            tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("order")));
            drop(campanile);
        });
        ended.send(()).unwrap();
    });
    end.recv_timeout(LIMIT).expect("the drop is bounded");
}

#[tokio::test]
async fn end_closes_all_steps_and_can_be_called_again() {
    let [free] = ports::free();
    let campanile = started(&[&format!("metrics.listen={free}"), "letters.everywhere=true"]).await;
    campanile.dependency("ended").build().await.unwrap();
    assert!(tokio::net::TcpStream::connect(free).await.is_ok());
    let report = campanile.end().await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    for step in [ShutdownStep::Letters, ShutdownStep::Telemetry, ShutdownStep::MetricsServer] {
        assert!(report.step(step).is_some(), "{step}: {report:?}");
    }
    assert!(!campanile.health().is_ready());
    assert!(tokio::net::TcpStream::connect(free).await.is_err(), "the port is closed");
    assert!(campanile.end().await.unwrap().is_complete());
}

#[tokio::test]
async fn the_loops_of_workers_are_drained_and_what_is_left_of_them_is_reported() {
    let campanile = started(&["shutdown.drain=\"200ms\""]).await;
    let worker = campanile.worker("drained").build().await.unwrap();
    let every = campanile::Every::interval(Duration::from_millis(1));
    let short = worker.run_loop("short", every, || async { Ok::<_, String>(()) }).unwrap();
    let hangs = worker.run_loop("hangs", every, std::future::pending::<Result<(), String>>).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let report = campanile.end().await.unwrap();
    let drain = report.step(ShutdownStep::Drain).unwrap();
    assert_eq!(drain.left.as_deref(), Some("the loop `hangs` of worker `drained`"), "{report:?}");
    assert!(short.is_finished() && hangs.is_finished());
    assert!(report.step(ShutdownStep::Telemetry).is_some());
    assert!(campanile.end().await.unwrap().is_complete(), "there is nothing left to drain");
}

#[tokio::test]
async fn a_shutdown_that_is_not_used_takes_nothing_along() {
    let [free] = ports::free();
    let campanile = started(&[&format!("metrics.listen={free}")]).await;
    drop(campanile.shutdown().build().unwrap());
    assert!(tokio::net::TcpStream::connect(free).await.is_ok());
}

#[tokio::test]
async fn run_ends_with_the_error_of_its_server() {
    let campanile = started(&["shutdown.grace=0"]).await;
    let error = campanile.run(|_| async { Err::<(), _>("no port") }).await.unwrap_err();
    assert_eq!(error.to_string(), "no port");
    assert!(!campanile.health().is_ready());
}

#[test]
fn a_summary_is_logged_at_its_interval() {
    let test = "ending::a_summary_is_logged_at_its_interval";
    if is_alone(test) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let program = Campanile::builder("shop").arguments(["sampler=false", "logging.summary_every=1s"]);
            let campanile = program.start().await.unwrap();
            campanile.dependency("payments").build().await.unwrap().breaker().unwrap().force_open();
            std::future::pending::<()>().await;
        });
    }
    let mut child = Child::start(test, &[]);
    for _ in 0..2 {
        let status = child.wait_for("shop is ");
        assert!(!status.contains("circuits"), "each line is an event: {status}");
        child.wait_for("circuits: payments is ");
    }
}

/// Parks a request in a queue that is built while the program serves.
async fn park(campanile: Campanile) -> StatusCode {
    let late = campanile.dependency("late").build().await.unwrap();
    let queue: &DeadLetterQueue = late.letters().unwrap();
    use tower::{Layer, ServiceExt, service_fn};
    let refuse = service_fn(|_: String| async { Err::<(), _>("refused") });
    queue.layer().layer(refuse).oneshot("order 7".to_owned()).await.unwrap_err();
    StatusCode::BAD_GATEWAY
}

const FOLDER: &str = "CAMPANILE_TEST_FOLDER";

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_a_program_that_serves_in_order() {
    let test = "ending::sigterm_ends_a_program_that_serves_in_order";
    let [free] = ports::free();
    if is_alone(test) {
        let folder = std::env::var(FOLDER).unwrap();
        let settings = [
            "sampler=false".to_owned(),
            "letters.everywhere=true".to_owned(),
            format!("letters.directory={folder:?}"),
            "shutdown={grace=\"100ms\", drain=\"10s\"}".to_owned(),
            format!("metrics.listen={free}"),
        ];
        let campanile = Campanile::builder("shop").arguments(settings).start().await.unwrap();
        assert_eq!(campanile.faults(), []);
        let api = campanile.server("api").build().unwrap();
        let of_park = campanile.clone();
        let slow = || async {
            say("slow");
            tokio::time::sleep(Duration::from_millis(800)).await;
            "done"
        };
        let app = Router::new()
            .route("/park", post(move || park(of_park.clone())))
            .route("/slow", post(slow))
            .layer(api.http_layer());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        say(&format!("listens {} {free}", listener.local_addr().unwrap()));
        let report = campanile.serve(listener, app).await.unwrap();
        for step in &report.steps {
            say(&format!("step {step}"));
        }
        assert!(report.is_complete(), "{report:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Child::start(test, &[(FOLDER, folder.path().to_str().unwrap())]);
    let listens = child.wait_for("@ listens ");
    let (address, metrics) = listens.split_once(' ').unwrap();
    let client = reqwest::Client::new();
    let parked = client.post(format!("http://{address}/park")).send().await.unwrap();
    assert_eq!(parked.status(), 502);
    let text = client.get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    let counted = "http_server_request_duration_seconds_count{";
    assert!(text.lines().any(|line| line.starts_with(counted) && line.ends_with(" 1")), "{text}");
    let slow = tokio::spawn(client.post(format!("http://{address}/slow")).send());
    child.wait_for("@ slow");
    child.signal("TERM");
    assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "done", "it was in progress");
    let (status, lines) = tokio::task::spawn_blocking(|| child.end()).await.unwrap();
    assert!(status.success(), "{status}: {lines:?}");
    for step in ["grace", "drain", "letters", "telemetry", "metrics"] {
        let begins = format!("@ step {step}");
        assert!(lines.iter().any(|line| line.contains(&begins)), "{step}: {lines:?}");
    }
    let queue = DeadLetterQueue::builder("late").sqlite(folder.path().join("late.db")).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 1);
}
