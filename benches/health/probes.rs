//! The cost of `/readyz`, compared with a handler that returns a constant.
//!
//! One server thread serves both. A client thread sends requests over 16 connections, in short rounds to each in turn. The
//! client needs about as much CPU as the server, so the rate of requests alone would hide differences. Therefore the CPU time
//! of the server's thread is printed too.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use campanile::health::{Component, Health};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

type BoxError = Box<dyn Error + Send + Sync>;

/// The first case is the baseline.
const CASES: [(&str, &str); 3] =
    [("constant handler", "/constant"), ("/readyz", "/readyz"), ("/livez", "/livez")];
const COMPONENTS: usize = 1_000;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 30;
const ROUND: Duration = Duration::from_millis(200);

/// Measures if `long`. Otherwise only tests that every case answers.
pub(crate) fn run(long: bool) -> Result<(), BoxError> {
    let server = Server::start()?;
    let client = Builder::new_current_thread().enable_all().build()?;
    if !long {
        for (_, path) in CASES {
            ask(&client, &server, path, Duration::ZERO)?;
        }
        return Ok(());
    }
    let mut found = CASES.map(|_| (Vec::new(), Vec::new()));
    // The first round warms up.
    for round in 0..=ROUNDS {
        for ((_, path), (rates, costs)) in CASES.iter().zip(&mut found) {
            let before = server.used();
            let (answers, took) = ask(&client, &server, path, ROUND)?;
            if round > 0 {
                rates.push(answers / took.as_secs_f64());
                if let (Some(before), Some(after)) = (before, server.used()) {
                    costs.push((after - before) / answers);
                }
            }
        }
    }
    println!("probes, {COMPONENTS} components, medians of {ROUNDS} rounds:");
    let (rate, cost) = (median(&mut found[0].0), median(&mut found[0].1));
    for ((name, _), (rates, costs)) in CASES.iter().zip(&mut found) {
        let (own_rate, own_cost) = (median(rates), median(costs));
        println!(
            "{name:16} {own_rate:8.0} requests/s ({:.2})   {own_cost:6.0} ns of the server's thread ({:.2})",
            own_rate / rate,
            own_cost / cost,
        );
    }
    Ok(())
}

struct Server {
    address: SocketAddr,
    /// The file with the CPU time of its thread.
    statistics: Option<String>,
}

impl Server {
    fn start() -> Result<Self, BoxError> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (started, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || -> Result<(), BoxError> {
            // `PID/task/TID`, on Linux.
            let thread = std::fs::read_link("/proc/thread-self").ok();
            started.send(thread.map(|path| format!("/proc/{}/schedstat", path.display())))?;
            Builder::new_current_thread().enable_all().build()?.block_on(serve(listener))
        });
        Ok(Self { address, statistics: told.recv()? })
    }

    /// CPU time so far, in nanoseconds.
    #[allow(clippy::cast_precision_loss)]
    fn used(&self) -> Option<f64> {
        let text = std::fs::read_to_string(self.statistics.as_ref()?).ok()?;
        text.split(' ').next()?.parse().ok().map(|nanos: u64| nanos as f64)
    }
}

async fn serve(listener: std::net::TcpListener) -> Result<(), BoxError> {
    let health = Health::standalone();
    for number in 0..COMPONENTS {
        health.register(Component::new(format!("component-{number}")).critical(number % 10 == 0))?;
    }
    let app = Router::new()
        .route("/constant", get(|| async { r#"{"status":"pass"}"# }))
        .route_service("/readyz", health.http_service())
        .route_service("/livez", health.http_service());
    axum::serve(TcpListener::from_std(listener)?, app).await?;
    Ok(())
}

/// Sends requests for `time`. Returns the number of answers and the elapsed time.
#[allow(clippy::cast_precision_loss)]
fn ask(client: &Runtime, server: &Server, path: &str, time: Duration) -> Result<(f64, Duration), BoxError> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    client.block_on(async {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (request, address) = (request.clone(), server.address);
            tasks.spawn(async move { connection(address, request.as_bytes(), begun, time).await });
        }
        let mut answers = 0;
        while let Some(asked) = tasks.join_next().await {
            answers += asked??;
        }
        Ok((answers as f64, begun.elapsed()))
    })
}

/// Sends one request after the other on one connection. Returns the number of answers.
async fn connection(
    address: SocketAddr,
    request: &[u8],
    begun: Instant,
    time: Duration,
) -> Result<u64, BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 4_096];
    stream.write_all(request).await?;
    // Small answers arrive in one read, and all have the length of the first.
    let length = stream.read(&mut answer).await?;
    if !answer.starts_with(b"HTTP/1.1 200 OK") || !answer[..length].ends_with(br#"{"status":"pass"}"#) {
        let text = String::from_utf8_lossy(&answer[..length]).into_owned();
        return Err(io::Error::other(format!("unexpected answer: {text}")).into());
    }
    let mut answers = 1;
    while begun.elapsed() < time {
        stream.write_all(request).await?;
        stream.read_exact(&mut answer[..length]).await?;
        answers += 1;
    }
    Ok(answers)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
