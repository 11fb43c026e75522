//! Functions of your own, tried again while that helps and left alone while it does not.
//!
//! `cargo run --example plain_function`

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, Retry};

/// What the town's clockmaker says the time is. He is out at first, and again from the tenth knock on.
async fn ask_the_time(knocks: &AtomicU32) -> io::Result<&'static str> {
    match knocks.fetch_add(1, Ordering::Relaxed) {
        2..=8 => Ok("a quarter past nine"),
        _ => Err(io::Error::other("nobody opens")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let retry = Retry::builder()
        .max_attempts(3)
        .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_millis(100)))
        .build()?;
    let breaker = CircuitBreaker::builder("clockmaker")
        .consecutive_failures(4)
        .open_for(Backoff::constant(Duration::from_secs(30)))
        .build()?;

    let knocks = AtomicU32::new(0);
    for visitor in 1..=12 {
        // A refusal by the circuit is not worth another try, and gets none.
        match retry.run(|| breaker.call(ask_the_time(&knocks))).await {
            Ok(time) => println!("visitor {visitor:2}: it is {time}"),
            Err(error) => println!("visitor {visitor:2}: {error}"),
        }
    }

    let (circuit, retries) = (breaker.snapshot(), retry.snapshot());
    println!(
        "{} knocks; the circuit is {:?} and spared the clockmaker {}",
        knocks.into_inner(),
        circuit.state,
        circuit.totals.rejected
    );
    println!("{retries:?}");
    Ok(())
}
