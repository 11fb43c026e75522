//! A process that serves until it gets a signal: this test binary, started anew.
//!
//! Its parent blocks while it waits, so a test with a child needs a runtime with several threads.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use campanile::serve::{MetricsServer, Shutdown, ShutdownBuilder, ShutdownSettings};
use campanile::{DeadLetterQueue, Telemetry};
use tower::{Layer, ServiceExt, service_fn};

const SETTINGS: &str = "CAMPANILE_TEST_SHUTDOWN";
/// The file of the queue, if it has one.
pub const LETTERS: &str = "CAMPANILE_TEST_LETTERS";
/// Where telemetry is sent, if anywhere.
pub const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How long a child may take for what it is waited for, and how often it is looked.
const LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(10);

/// How long `/slow` and `/park` take.
const SLOW: Duration = Duration::from_millis(1_200);

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("@ {line}\n").as_bytes()).unwrap();
}

// ===== the child =====

#[test]
fn serves_until_a_signal() {
    // Only the other tests set it.
    let Ok(settings) = env::var(SETTINGS) else { return };
    let settings: ShutdownSettings = serde_json::from_str(&settings).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(ShutdownBuilder::from_settings(&settings)));
    // What hangs must not keep the process.
    runtime.shutdown_background();
}

async fn serve(mut shutdown: ShutdownBuilder) {
    let mut telemetry = Telemetry::builder("shop").prometheus();
    if env::var_os(COLLECTOR).is_some() {
        telemetry = telemetry.otlp();
    }
    let telemetry = telemetry.install().unwrap();
    let queue = match env::var_os(LETTERS) {
        Some(file) => DeadLetterQueue::builder("orders").sqlite(file).await.unwrap(),
        None => DeadLetterQueue::builder("orders").build().unwrap(),
    };
    let metrics = MetricsServer::builder(&telemetry).listen((Ipv4Addr::LOCALHOST, 0)).build().unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (own, apart) = (listener.local_addr().unwrap(), metrics.address());
    shutdown = shutdown.telemetry(&telemetry).queue(&queue).metrics_server(metrics);
    let shutdown: Shutdown = shutdown.build().unwrap();

    let finished = Arc::new(AtomicU64::new(0));
    let health = telemetry.health();
    let app = Router::new()
        .route("/work/{number}", get(work))
        .route("/slow", get(slow))
        .with_state(Arc::clone(&finished))
        .route("/hang", get(hang))
        .route("/park", get(move || park(queue.clone())))
        .merge(tonic::service::Routes::new(health.grpc_service()).into_axum_router().reset_fallback())
        .fallback_service(health.http_service());
    say(&format!("listens {own} {apart}"));
    let report = shutdown.serve(listener, app).await;
    for step in &report.steps {
        say(&format!("step {step}"));
    }
    say(&format!("finished {}", finished.load(Ordering::SeqCst)));
}

type Finished = axum::extract::State<Arc<AtomicU64>>;

async fn work(finished: Finished, Path(number): Path<u64>) -> String {
    tokio::time::sleep(Duration::from_millis(number % 4)).await;
    finished.fetch_add(1, Ordering::SeqCst);
    number.to_string()
}

async fn slow(finished: Finished) -> &'static str {
    tokio::time::sleep(SLOW).await;
    finished.fetch_add(1, Ordering::SeqCst);
    "slow"
}

async fn hang() {
    say("hangs");
    std::future::pending::<()>().await;
}

async fn park(queue: DeadLetterQueue) -> StatusCode {
    let refuse = service_fn(|_: String| async {
        say("parks");
        tokio::time::sleep(SLOW).await;
        Err::<(), _>("refused")
    });
    // Longer than the limit of a file on the full disk.
    let order = "bell ".repeat(20_000);
    drop(queue.layer().layer(refuse).oneshot(order).await);
    StatusCode::BAD_GATEWAY
}

// ===== its parent =====

/// A running child. It is killed when its value is dropped.
pub struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    /// Where the application listens.
    pub address: SocketAddr,
    /// Where the metrics are.
    pub metrics: SocketAddr,
}

/// What a child told at its end.
#[derive(Debug)]
pub struct End {
    pub status: ExitStatus,
    pub steps: Vec<String>,
    /// The requests that its handlers finished.
    pub finished: Option<u64>,
}

impl Child {
    /// Starts one with these limits: JSON of `ShutdownSettings`.
    pub fn start(settings: &str, variables: &[(&str, &str)]) -> Self {
        // Without the trap, a signal ends the program at its first write beyond the limit of a file.
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ && exec "$0" "$@""#]).arg(env::current_exe().unwrap());
        command.args(["--exact", "child::serves_until_a_signal", "--nocapture", "--test-threads=1"]);
        command.env(SETTINGS, settings).envs(variables.iter().copied());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The test harness may have written the beginning of the line.
                if let Some((_, line)) = line.split_once("@ ")
                    && sender.send(line.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        let listens: String = lines.recv().expect("the child listens");
        let mut words =
            listens.strip_prefix("listens ").unwrap().split(' ').map(|word| word.parse().unwrap());
        let (address, metrics) = (words.next().unwrap(), words.next().unwrap());
        Self { process, lines, address, metrics }
    }

    pub fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("the child says something, and does not end by itself")
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Limits the size of its files, as on a full disk.
    pub fn limit_files(&self, bytes: u64) {
        let (id, limit) = (self.process.id().to_string(), format!("--fsize={bytes}:"));
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    }

    /// Waits until it ends.
    pub fn end(mut self) -> End {
        let polls = (0..LIMIT.as_millis() / POLL.as_millis()).find_map(|_| {
            std::thread::sleep(POLL);
            self.process.try_wait().unwrap()
        });
        let status = polls.unwrap_or_else(|| panic!("the child did not end within {LIMIT:?}"));
        let mut end = End { status, steps: Vec::new(), finished: None };
        for line in self.lines.iter() {
            match line.split_once(' ') {
                Some(("step", step)) => end.steps.push(step.to_owned()),
                Some(("finished", count)) => end.finished = Some(count.parse().unwrap()),
                _ => {}
            }
        }
        end
    }
}

impl End {
    /// The line of a step.
    pub fn step(&self, name: &str) -> &str {
        let step = self.steps.iter().find(|step| step.starts_with(name));
        step.unwrap_or_else(|| panic!("no step {name}: {self:?}"))
    }

    pub fn is_complete(&self) -> bool {
        self.status.success()
            && self.steps.len() == 5
            && self.steps.iter().all(|step| step.contains(" completed"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
