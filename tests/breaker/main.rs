//! The circuit breaker through its public API, on a paused clock.

mod adaptive;
mod control;
mod health_probe;
#[cfg(feature = "http")]
mod http;
mod keyed;
mod keyed_eviction;
mod keyed_probe;
mod learning;
mod permits;
mod settings;
mod simulation;
mod states;
#[cfg(feature = "grpc")]
mod streams;
mod waiting;

use std::time::Duration;

use campanile::{Backoff, CircuitBreaker, HalfOpen, Jitter, Window, breaker::CircuitBreakerBuilder};

const OPEN_FOR: Duration = Duration::from_secs(5);

/// Opens when half of the last ten calls failed, for exactly five seconds, then ten, twenty… Two probes decide.
fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("test")
        .failure_rate(0.5)
        .window(Window::count(10))
        .minimum_calls(4)
        .open_for(Backoff::exponential(OPEN_FOR, Duration::from_secs(60)).jitter(Jitter::None))
        .half_open(HalfOpen { permits: 2, max_wait: Duration::from_secs(30) })
}

fn breaker() -> CircuitBreaker {
    builder().build().unwrap()
}

async fn succeed(breaker: &CircuitBreaker) -> bool {
    breaker.call(async { Ok::<_, &str>(()) }).await.is_ok()
}

/// Makes a call that fails. Returns whether the circuit admitted it.
async fn fail(breaker: &CircuitBreaker) -> bool {
    !breaker.call(async { Err::<(), _>("broken") }).await.unwrap_err().is_rejected()
}

async fn fail_times(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        assert!(fail(breaker).await);
    }
}

async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}
