//! The cost of checks: ten services over HTTP, each checked every 30 seconds.
//!
//! The checks run one after the other. The result is scaled to twenty per minute. The services run on another thread, whose
//! time does not count.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use campanile::health::{Every, Health, HttpCheck};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

type BoxError = Box<dyn Error + Send + Sync>;

const SERVICES: u32 = 10;
const EVERY: Duration = Duration::from_secs(30);

/// Measures if `long`. Otherwise only tests that the checks run.
pub(crate) fn run(long: bool) -> Result<(), BoxError> {
    let rounds = if long { 300_u32 } else { 1 };
    let address = serve()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let used = runtime.block_on(async {
        let health = Health::standalone();
        for number in 0..SERVICES {
            let check = HttpCheck::builder(format!("http://{address}/{number}")).build()?;
            // Longer than the bench takes: no run but those that are asked for.
            health.check(format!("service-{number}"), Every::seconds(86_400), check)?;
        }
        // The first checks open the connections.
        health.run_checks().await;
        let before = processor_time();
        for _ in 0..rounds {
            let reports = health.run_checks().await;
            assert!(reports.iter().all(|report| !report.outcome.is_failure()), "{reports:?}");
        }
        Ok::<_, BoxError>(before.zip(processor_time()).map(|(before, after)| after.saturating_sub(before)))
    })?;
    let Some(used) = used else {
        println!("checks: this system does not report the CPU time of a thread");
        return Ok(());
    };
    let one = used / (rounds * SERVICES);
    let share = one.as_secs_f64() * f64::from(SERVICES) / EVERY.as_secs_f64();
    println!("checks:");
    println!("  CPU time of one check over HTTP {:>47.1} \u{b5}s", one.as_secs_f64() * 1e6);
    println!(
        "  {SERVICES} services checked every {} s {:>46.4} % of a core   <= 0.05 %",
        EVERY.as_secs(),
        share * 100.0
    );
    Ok(())
}

/// Services that answer 200, on a thread of their own.
fn serve() -> Result<SocketAddr, BoxError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let app = Router::new().route("/{number}", get(|| async { "ok" }));
        runtime.block_on(async { axum::serve(listener, app).await })
    });
    Ok(address)
}

/// The CPU time of this thread. `None` if the system does not report it.
fn processor_time() -> Option<Duration> {
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(times.split(' ').next()?.parse().ok()?))
}
