//! Retries and a circuit breaker around a function, without tower.
//!
//! `cargo run --example plain_function`

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, Retry};

/// An unreliable dependency: calls 3 to 9 succeed, all others fail.
async fn fetch_rate(calls: &AtomicU32) -> io::Result<f64> {
    match calls.fetch_add(1, Ordering::Relaxed) {
        2..=8 => Ok(1.08),
        _ => Err(io::Error::other("connection refused")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let retry = Retry::builder()
        .max_attempts(3)
        .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_millis(100)))
        .build()?;
    let breaker = CircuitBreaker::builder("rates")
        .consecutive_failures(4)
        .open_for(Backoff::constant(Duration::from_secs(30)))
        .build()?;

    let calls = AtomicU32::new(0);
    for request in 1..=12 {
        // Rejections by the open circuit are not retried.
        match retry.run(|| breaker.call(fetch_rate(&calls))).await {
            Ok(rate) => println!("request {request:2}: the rate is {rate}"),
            Err(error) => println!("request {request:2}: {error}"),
        }
    }

    let (circuit, retries) = (breaker.snapshot(), retry.snapshot());
    println!(
        "{} calls; the circuit is {:?} and rejected {} calls",
        calls.into_inner(),
        circuit.state,
        circuit.totals.rejected
    );
    println!("{retries:?}");
    Ok(())
}
