//! The cost of a request to an axum server with all layers: `cargo bench --bench server`. Needs `wrk` and Linux.
//!
//! The servers run one after the other, each in a process of its own, for several rounds. `wrk` sends the requests. The result
//! is the server's CPU time per million requests, as the median of the rounds. Absolute numbers differ from machine to machine.
//!
//! - bare: axum only
//! - campanile: dead letters, retry, circuit breaker, timing and a span of the request around the router, and a span of the
//!   handler, with their metrics and vital signs; one trace in a hundred sampled
//! - peers: tower-http's `TraceLayer`, tracing-opentelemetry with the same sampling, axum-otel-metrics
//! - spans: campanile without its four layers, which is comparable with the peers
//!
//! `cargo bench --bench server -- bare timing breaker retry letters` measures single layers. `-- calls` measures the layers of
//! spans alone, without a network and without `wrk`: see `calls.rs`.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use campanile::telemetry::{Console, Sampling};
use campanile::{CircuitBreaker, DeadLetterQueue, Retry, Telemetry, Timing};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;
use tracing::instrument;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

#[path = "server/calls.rs"]
mod calls;

type BoxError = Box<dyn Error + Send + Sync>;

const SERVE: &str = "CAMPANILE_BENCH_SERVE";
const SERVERS: [&str; 4] = ["bare", "campanile", "spans", "peers"];
const ROUNDS: usize = 7;
const CONNECTIONS: &str = "16";
const SECONDS: &str = "3s";

/// An exporter that drops spans.
#[derive(Debug)]
struct Sink;

impl SpanExporter for Sink {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(std::hint::black_box(batch));
        Ok(())
    }
}

async fn bare(Path(id): Path<u32>) -> String {
    format!("item {id}\n")
}

#[instrument]
async fn item(Path(id): Path<u32>) -> String {
    format!("item {id}\n")
}

fn campanile(name: &str) -> Result<(Router, Telemetry), BoxError> {
    let telemetry = Telemetry::builder("bench")
        .sampling(Sampling::parent_based(Sampling::Ratio(0.01)))
        .prometheus()
        .console(Console::Off)
        .span_exporter(Sink)
        .install()?;
    let router = Router::new().route("/items/{id}", get(item));
    let spans = telemetry.http_server_layer();
    let timing = Timing::new("bench").http_server_layer();
    let breaker = CircuitBreaker::builder("bench").build()?.http_layer();
    let retry = Retry::builder().build()?.http_layer();
    let letters = DeadLetterQueue::in_memory(1_000).http_layer();
    // axum boxes the future of each `Router::layer`. A `ServiceBuilder` needs one box for all layers.
    let layers = ServiceBuilder::new();
    let router = match name {
        "spans" => router.layer(spans),
        "nothing" => router.layer(layers.layer(tower::layer::util::Identity::new())),
        "timing" => router.layer(layers.layer(spans).layer(timing)),
        "breaker" => router.layer(layers.layer(spans).layer(breaker)),
        "retry" => router.layer(layers.layer(spans).layer(retry)),
        "letters" => router.layer(layers.layer(spans).layer(letters)),
        "campanile" => {
            router.layer(layers.layer(spans).layer(letters).layer(retry).layer(breaker).layer(timing))
        }
        other => return Err(format!("there is no server `{other}`").into()),
    };
    Ok((router, telemetry))
}

fn peers() -> Result<(Router, SdkTracerProvider), BoxError> {
    let tracers = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01))))
        .with_span_processor(BatchSpanProcessor::builder(Sink).build())
        .build();
    let traces = tracing_opentelemetry::layer().with_tracer(tracers.tracer("bench"));
    tracing_subscriber::registry().with(LevelFilter::INFO).with(traces).try_init()?;
    // The peer uses an older version of the SDK. Without a reader, its instruments would do nothing.
    let reader = peer_sdk::metrics::ManualReader::builder().build();
    let meters = peer_sdk::metrics::SdkMeterProvider::builder().with_reader(reader).build();
    let metrics = axum_otel_metrics::HttpMetricsLayerBuilder::new().with_provider(meters).build();
    let trace = TraceLayer::new_for_http()
        .make_span_with(tower_http::trace::DefaultMakeSpan::new().level(tracing::Level::INFO));
    Ok((Router::new().route("/items/{id}", get(bare)).layer(trace).layer(metrics), tracers))
}

fn serve(name: &str) -> Result<(), BoxError> {
    let mut telemetry = None;
    let mut tracers = None;
    let router = match name {
        "bare" => Router::new().route("/items/{id}", get(bare)),
        "peers" => {
            let (router, found) = peers()?;
            tracers = Some(found);
            router
        }
        _ => {
            let (router, found) = campanile(name)?;
            telemetry = Some(found);
            router
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        // Serves until the parent process closes the input.
        let done = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
        tokio::select! {
            served = axum::serve(listener, router) => served?,
            _ = done => {}
        }
        Ok::<_, BoxError>(())
    })?;
    drop((telemetry, tracers));
    Ok(())
}

/// A server in a child process, which ends when this is dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(name: &str) -> Result<Self, BoxError> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(SERVE, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = process.stdout.take().ok_or("the server has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let port = line
            .trim()
            .parse()
            .map_err(|_| format!("the server `{name}` printed {line:?} in place of a port"))?;
        Ok(Self { process, port })
    }

    /// CPU time since its start.
    fn used(&self) -> Result<Duration, BoxError> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()))?;
        let mut nanos = 0_u64;
        for task in tasks {
            let of_task = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += of_task.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Sends one request and checks the answer.
    fn ask(&self) -> Result<(), BoxError> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET /items/17 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let fine = answer.starts_with("HTTP/1.1 200") && answer.contains("item 17");
        if fine { Ok(()) } else { Err(format!("unexpected answer: {answer}").into()) }
    }

    /// Sends requests for `time`. Returns the number of answers.
    fn load(&self, time: &str) -> Result<u64, BoxError> {
        let url = format!("http://127.0.0.1:{}/items/17", self.port);
        let wrk = Command::new("wrk")
            .args(["-t1", "-c", CONNECTIONS, "-d", time, &url])
            .output()
            .map_err(|error| format!("cannot run `wrk`, which this benchmark needs: {error}"))?;
        let text = String::from_utf8_lossy(&wrk.stdout);
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("some requests failed:\n{text}").into());
        }
        let line = text.lines().find(|line| line.contains("requests in"));
        let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        count.ok_or_else(|| format!("the output of wrk has no number of requests:\n{text}").into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The CPU seconds of a server per million requests.
fn measure(name: &str) -> Result<f64, BoxError> {
    let server = Server::start(name)?;
    server.load("1s")?;
    let before = server.used()?;
    let requests = server.load(SECONDS)?;
    let used = server.used()?.saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let millions = requests as f64 / 1e6;
    Ok(used.as_secs_f64() / millions)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), BoxError> {
    if let Ok(name) = std::env::var(SERVE) {
        return serve(&name);
    }
    if let Ok(name) = std::env::var(calls::MEASURE) {
        return calls::measure(&name);
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        // Without `--bench`, this only tests that the bench runs.
        return SERVERS.iter().try_for_each(|name| Server::start(name)?.ask());
    }
    if std::env::args().any(|argument| argument == "calls") {
        return calls::compare();
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let names = if asked.is_empty() { SERVERS.map(str::to_owned).to_vec() } else { asked };
    let mut used = vec![Vec::new(); names.len()];
    for round in 1..=ROUNDS {
        for (name, used) in names.iter().zip(&mut used) {
            let seconds = measure(name)?;
            println!("round {round}: {name:10} {seconds:6.2} CPU seconds per million requests");
            used.push(seconds);
        }
    }
    let first = median(&mut used[0].clone());
    println!("\nmedians of {ROUNDS} rounds, CPU seconds per million requests:");
    for (name, used) in names.iter().zip(&mut used) {
        let seconds = median(used);
        println!("{name:10} {seconds:6.2}  {:.2} of {}", seconds / first, names[0]);
    }
    Ok(())
}
