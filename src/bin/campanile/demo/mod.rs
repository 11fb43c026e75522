//! `campanile demo`: a service that is protected and measured and loses no order, on real sockets.

mod checkout;
mod customers;
mod payments;
mod report;
mod script;

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use axum::http::Uri;
use campanile::breaker::Transition;
use campanile::health::{Check, Component, Every, HttpCheck};
use campanile::sampler::SystemSnapshot;
use campanile::telemetry::Console;
use campanile::{DeadLetterQueue, LetterFilter, Redrive, Telemetry, Timing};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::checkout::{Checkout, Stack};
use self::customers::Receipts;
use self::payments::Payments;
use self::report::{Orders, Report};
use self::script::Behavior;
use crate::args::DemoOptions;

/// Interval and timeout of the check whether `payments` is ready.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// A check that takes longer is a warning.
const CHECK_WARN_AFTER: Duration = Duration::from_millis(200);

/// Maximum time of the redrive.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs the demonstration. Returns whether every order was charged at once, or parked and redriven.
pub(crate) async fn run(options: DemoOptions) -> Result<bool> {
    // The first poll installs the handler. Before it, Ctrl-C would kill the process.
    let mut interrupt = Box::pin(tokio::signal::ctrl_c());
    if let Poll::Ready(early) = std::future::poll_fn(|cx| Poll::Ready(interrupt.as_mut().poll(cx))).await {
        early?;
        return Err("interrupted before the demonstration began".into());
    }
    let telemetry = install()?;
    let data = DataDir::open(options.data_dir.as_deref())?;
    let queue = DeadLetterQueue::builder("orders").component("payments").sqlite(data.file()).await?;
    let left_over = queue.len().await?;
    if left_over > 0 {
        return Err(format!(
            "{} holds {left_over} dead letters of another run: choose another --data-dir, or remove the file",
            data.file().display()
        )
        .into());
    }
    let stack = Stack::new(queue, &telemetry)?;
    let health = telemetry.health();
    health.register(Component::new("checkout").depends_on("payments").critical(true))?;
    let payments = Payments::start(&telemetry).await?;
    let readyz = url(payments.address(), "/readyz")?;
    let is_payments_ready = HttpCheck::builder(readyz.to_string()).build()?.warn_after(CHECK_WARN_AFTER);
    let check =
        health.check("payments", Every::interval(CHECK_EVERY).timeout(CHECK_EVERY), is_payments_ready)?;
    let orders = Timing::new("orders");
    let checkout = Checkout::start(&stack, payments.address(), &telemetry, &health, &orders).await?;
    anstream::eprintln!("metrics  {}", url(checkout.address, "/metrics")?);
    anstream::eprintln!("health   {}", url(checkout.address, "/healthz?verbose")?);

    let began = Instant::now();
    // CPU utilization in a snapshot is that since the previous snapshot.
    let _ = SystemSnapshot::now();
    let (stop, stopped) = watch::channel(false);
    let interrupts = tokio::spawn(async move {
        if interrupt.await.is_ok() {
            stop.send_replace(true);
        }
        // Keeps the sender: a closed channel would count as a change.
        std::future::pending::<()>().await;
    });
    let transitions = record_transitions(&stack, began);
    let time = Duration::from_secs(options.seconds);
    let progress = progress_bar(time);
    let (receipts, ()) = tokio::join!(
        customers::send_orders(checkout.address, time, stopped.clone(), progress.clone()),
        run_script(&payments, time, stopped.clone(), progress.clone())
    );
    let took = began.elapsed();
    let interrupted = *stopped.borrow();

    let (health, check) = (health.snapshot(), check.report());
    let errors = count_errors(&stack.queue).await?;
    let parked = stack.queue.len().await?;
    payments.set_behavior(Behavior::Healthy);
    let redriven = redrive(&stack).await?;
    let retries = stack.retry.snapshot();
    let report = Report {
        interrupted,
        took,
        orders: count_orders(&receipts, &payments, parked, redriven),
        retries: retries.retries,
        given_up: retries.given_up.into_iter().map(|(why, count)| (why.to_string(), count)).collect(),
        breaker: stack.breaker.snapshot(),
        payments: stack.timing.snapshot(),
        errors,
        health,
        check,
        system: SystemSnapshot::now(),
        spans: telemetry.spans_started(),
        letters_at: options.data_dir.is_some().then(|| data.file().display().to_string()),
        transitions: transitions.finish().await,
        latencies: receipts.latencies,
        refused: receipts.refused,
    };
    interrupts.abort();
    drop(checkout);
    if !telemetry.shutdown(Duration::from_secs(5)) {
        anstream::eprintln!("campanile: not all telemetry was exported to the collector within 5 s");
    }
    if options.json {
        anstream::eprintln!("{}", report.text());
        println!("{}", report.json()?);
    } else {
        anstream::println!("{}", report.text());
    }
    Ok(report.orders.add_up())
}

/// Installs telemetry: metrics for Prometheus, OTLP if the environment has an endpoint, and logs if `RUST_LOG` is set.
fn install() -> Result<Telemetry> {
    let wants_logs = std::env::var_os("RUST_LOG").is_some();
    let mut telemetry = Telemetry::builder("campanile-demo")
        .prometheus()
        .system(Duration::from_secs(1))
        .console(if wants_logs { Console::Human } else { Console::Off });
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        telemetry = telemetry.otlp();
    }
    Ok(telemetry.install()?)
}

/// The URL of a path on one of the servers.
fn url(server: SocketAddr, path: &str) -> std::result::Result<Uri, axum::http::Error> {
    Uri::builder().scheme("http").authority(server.to_string()).path_and_query(path).build()
}

fn progress_bar(time: Duration) -> ProgressBar {
    let bar = ProgressBar::new(time.as_millis().try_into().unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:40} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Runs the script of faults until its end or an interrupt.
async fn run_script(
    payments: &Payments,
    time: Duration,
    mut stopped: watch::Receiver<bool>,
    progress: ProgressBar,
) {
    let began = Instant::now();
    for (at, behavior) in script::schedule(time) {
        tokio::select! {
            () = tokio::time::sleep_until(began + at) => {
                payments.set_behavior(behavior);
                progress.set_message(behavior.description());
            }
            _ = stopped.changed() => break,
        }
    }
    if *stopped.borrow() {
        payments.set_behavior(Behavior::Healthy);
    }
}

/// Redrives the parked orders until the queue is empty or [`REDRIVE_TIMEOUT`] has passed.
async fn redrive(stack: &Stack) -> Result<u64> {
    let deadline = Instant::now() + REDRIVE_TIMEOUT;
    let mut redriven = 0;
    while stack.queue.len().await? > 0 && Instant::now() < deadline {
        let report = stack.queue.redrive(stack.redrive_client(), Redrive::all().rate(400)).await?;
        redriven += report.redriven;
        if report.redriven == 0 {
            // The circuit is still open, or payments is not listening yet.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(redriven)
}

/// Compares the customers' answers with the orders that payments charged.
fn count_orders(receipts: &Receipts, payments: &Payments, parked: u64, redriven: u64) -> Orders {
    let lost = receipts.sent.iter().filter(|order| !payments.has_charged(order)).count();
    Orders {
        sent: receipts.sent.len() as u64,
        succeeded: receipts.charged,
        parked,
        redriven,
        lost: lost as u64,
    }
}

/// The maximum number of frequent errors of the letters, with their numbers.
async fn count_errors(queue: &DeadLetterQueue) -> Result<Vec<(String, u64)>> {
    let groups = queue.groups(LetterFilter::all().limit(5)).await?;
    let errors = groups.into_iter().map(|group| {
        // The time to wait differs from rejection to rejection.
        let message = &*group.example.message;
        let message = message.split_once("; try again").map_or(message, |(what, _)| what);
        (message.to_owned(), group.letters)
    });
    Ok(errors.collect())
}

/// Collects the transitions of the breaker while the demonstration runs.
struct TransitionLog {
    task: tokio::task::JoinHandle<Vec<(Duration, Transition)>>,
    done: mpsc::Sender<()>,
}

fn record_transitions(stack: &Stack, began: Instant) -> TransitionLog {
    let mut transitions = stack.breaker.subscribe();
    let (done, mut finished) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            tokio::select! {
                biased;
                next = transitions.recv() => match next {
                    Some(transition) => seen.push((began.elapsed(), transition)),
                    None => return seen,
                },
                _ = finished.recv() => return seen,
            }
        }
    });
    TransitionLog { task, done }
}

impl TransitionLog {
    async fn finish(self) -> Vec<(Duration, Transition)> {
        drop(self.done);
        self.task.await.unwrap_or_default()
    }
}

/// The folder of the dead letters: a given one, or a temporary one that is removed at the end.
enum DataDir {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl DataDir {
    fn open(named: Option<&Path>) -> Result<Self> {
        match named {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|error| {
                    format!(
                        "cannot create the folder of --data-dir, {}: {error}; choose one that can be written",
                        path.display()
                    )
                })?;
                Ok(Self::Named(path.to_owned()))
            }
            None => Ok(Self::Temporary(tempfile::tempdir()?)),
        }
    }

    fn file(&self) -> PathBuf {
        let folder = match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.path(),
        };
        folder.join("letters.db")
    }
}
