//! What checks cost: ten services over HTTP, each asked every 30 seconds.
//!
//! Runs are asked for one after the other, and what one costs is told for twenty a minute. The services are on a
//! thread of their own, whose time does not count.

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

/// Measures when `long`, or else sees that the services are checked.
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
        // The first ones make what the others use.
        health.run_checks().await;
        let before = processor_time();
        for _ in 0..rounds {
            let reports = health.run_checks().await;
            assert!(reports.iter().all(|report| !report.outcome.is_failure()), "{reports:?}");
        }
        Ok::<_, BoxError>(before.zip(processor_time()).map(|(before, after)| after.saturating_sub(before)))
    })?;
    let Some(used) = used else {
        println!("checks: this system does not tell the processor time of a thread");
        return Ok(());
    };
    let one = used / (rounds * SERVICES);
    let share = one.as_secs_f64() * f64::from(SERVICES) / EVERY.as_secs_f64();
    println!("checks:");
    println!("  processor time of one run over HTTP {:>43.1} \u{b5}s", one.as_secs_f64() * 1e6);
    println!(
        "  {SERVICES} services checked every {} s {:>46.4} % of a core   <= 0.05 %",
        EVERY.as_secs(),
        share * 100.0
    );
    Ok(())
}

/// Services that say that they are well, on a thread of their own.
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

/// The processor time of this thread, where Linux tells it.
fn processor_time() -> Option<Duration> {
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(times.split(' ').next()?.parse().ok()?))
}
