//! A learned slow-call limit on days of noisy traffic: a service that usually takes 50 ms, one call a second, with the
//! default bounds of a limit of two seconds.
//!
//! `CAMPANILE_TEST_LONG=1 cargo test --test breaker learning -- --nocapture` prints the figures of 24 seeds.

use std::time::Duration;

use campanile::breaker::CircuitBreakerBuilder;
use campanile::{CircuitBreaker, CircuitState};
use fastrand::Rng;

use crate::advance;

#[path = "../support/long.rs"]
mod long;

const HOUR: u64 = 3_600;

fn seeds() -> std::ops::Range<u64> {
    0..u64::from(long::times(3, 24))
}

fn adaptive() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("learning").slow_call(Duration::from_secs(2), 0.5).adaptive(true)
}

/// The behaviour of a service.
#[derive(Clone, Copy)]
struct Service {
    /// Times 50 ms.
    factor: f64,
    /// The share of the calls that fail.
    fails: f64,
}

const WELL: Service = Service { factor: 1.0, fails: 0.005 };
/// A fifth of the calls fails, and the others take twice as long.
const BAD: Service = Service { factor: 2.0, fails: 0.2 };
const FIVE_TIMES: Service = Service { factor: 5.0, ..WELL };

struct Calls {
    breaker: CircuitBreaker,
    random: Rng,
    second: u64,
    /// The end of the time in which all calls take longer, and the factor.
    burst: (u64, f64),
    openings: u64,
}

impl Calls {
    fn new(builder: CircuitBreakerBuilder, seed: u64) -> Self {
        let (breaker, random) = (builder.build().unwrap(), Rng::with_seed(seed));
        Self { breaker, random, second: 0, burst: (0, 1.0), openings: 0 }
    }

    /// A second with a call. Durations are lognormal. One call in 70 takes four to twelve times as long. Every hour all take 1.5 to
    /// 2.5 times as long for a few minutes.
    async fn call(&mut self, service: Service) {
        let random = &mut self.random;
        if self.second > self.burst.0 && random.f64() < 1.0 / HOUR as f64 {
            self.burst = (self.second + random.u64(60..300), 1.5 + random.f64());
        }
        let burst = if self.second <= self.burst.0 { self.burst.1 } else { 1.0 };
        let normal = (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (random.f64() * std::f64::consts::TAU).cos();
        let tail = if random.f64() < 0.015 { 4.0 + 8.0 * random.f64() } else { 1.0 };
        let taken =
            Duration::from_secs_f64((0.05 * service.factor * (0.4 * normal).exp() * tail * burst).min(0.9));
        let fails = random.f64() < service.fails;
        let was = self.breaker.state();
        let work = async {
            advance(taken).await;
            if fails { Err("broken") } else { Ok(()) }
        };
        let ran = !self.breaker.call(work).await.is_err_and(|error| error.is_rejected());
        self.openings += u64::from(was != CircuitState::Open && self.breaker.state() == CircuitState::Open);
        advance(Duration::from_secs(1) - if ran { taken } else { Duration::ZERO }).await;
        self.second += 1;
    }

    async fn seconds(&mut self, seconds: u64, service: Service) {
        for _ in 0..seconds {
            self.call(service).await;
        }
    }

    /// The number of calls until the circuit opens; `None` if it does not within an hour.
    async fn until_open(&mut self, service: Service) -> Option<u64> {
        for calls in 1..=HOUR {
            self.call(service).await;
            if self.breaker.state() == CircuitState::Open {
                return Some(calls);
            }
        }
        None
    }

    fn limit(&self) -> Duration {
        self.breaker.snapshot().slow_call_limit.unwrap()
    }
}

/// Prints the maximum of what was found, and how many have none.
fn report(what: &str, found: &[Option<u64>]) {
    let mut seen: Vec<_> = found.iter().flatten().copied().collect();
    seen.sort_unstable();
    let (all, median) = (found.len(), seen.get(seen.len() / 2));
    println!("{what}: seen in {} of {all}, after {median:?} calls, {:?} at most", seen.len(), seen.last());
}

#[tokio::test(start_paused = true)]
async fn a_service_of_50_ms_that_gets_five_times_slower_opens() {
    let mut found = Vec::new();
    for seed in seeds() {
        let mut calls = Calls::new(adaptive(), seed);
        calls.seconds(2 * HOUR, WELL).await;
        found.push(calls.until_open(FIVE_TIMES).await);
    }
    report("five times slower", &found);
    assert!(found.iter().all(|calls| calls.is_some_and(|calls| calls <= 120)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn noise_alone_opens_no_circuit() {
    let mut openings = 0;
    for seed in seeds() {
        let mut calls = Calls::new(adaptive(), 100 + seed);
        calls.seconds(24 * HOUR, WELL).await;
        openings += calls.openings;
        let limit = calls.limit();
        assert!((Duration::from_millis(100)..Duration::from_millis(350)).contains(&limit), "{limit:?}");
    }
    println!("{openings} openings in {} days of noise", seeds().end);
    assert_eq!(openings, 0);
}

/// With a limit that was learned in a bad time, the next outage would look normal.
#[tokio::test(start_paused = true)]
async fn a_bad_time_is_not_learned() {
    let (mut before, mut after, mut only_slow) = (Vec::new(), Vec::new(), Vec::new());
    for seed in seeds() {
        // A bad time at the start.
        let mut calls = Calls::new(adaptive(), 200 + seed);
        calls.seconds(3 * HOUR, BAD).await;
        assert_eq!(calls.limit(), Duration::from_secs(2), "the configured limit holds");
        calls.seconds(HOUR, WELL).await;
        before.push(calls.until_open(FIVE_TIMES).await);
        // A bad time after healthy hours.
        let mut calls = Calls::new(adaptive(), 300 + seed);
        calls.seconds(2 * HOUR, WELL).await;
        let learned = calls.limit();
        calls.seconds(3 * HOUR, BAD).await;
        assert_eq!(calls.limit(), learned);
        after.push(calls.until_open(FIVE_TIMES).await);
        // A slow time without failures. An hour later it has no effect.
        let mut calls = Calls::new(adaptive(), 400 + seed);
        calls.seconds(2 * HOUR, WELL).await;
        calls.seconds(3 * HOUR, Service { factor: 2.0, ..WELL }).await;
        calls.seconds(HOUR, WELL).await;
        only_slow.push(calls.until_open(FIVE_TIMES).await);
    }
    report("five times slower, an hour after a bad time at the start", &before);
    report("five times slower, after a bad time", &after);
    report("five times slower, an hour after hours that were twice as slow", &only_slow);
    for found in [before, after, only_slow] {
        assert!(found.iter().all(|calls| calls.is_some_and(|calls| calls <= 120)), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_follows_a_permanently_slower_service_after_hours() {
    let mut hours = Vec::new();
    for seed in seeds() {
        let mut calls = Calls::new(adaptive(), 500 + seed);
        calls.seconds(2 * HOUR, WELL).await;
        let mut last = 0;
        for quarter in 0..40 {
            let before = calls.openings;
            calls.seconds(HOUR / 4, FIVE_TIMES).await;
            if calls.openings > before || calls.breaker.state() != CircuitState::Closed {
                last = quarter + 1;
            }
        }
        hours.push(f64::from(last) / 4.0);
        let limit = calls.limit();
        assert!((Duration::from_millis(300)..Duration::from_millis(1_500)).contains(&limit), "{limit:?}");
    }
    println!("five times slower for good: closed for good after {hours:?} hours");
    assert!(hours.iter().all(|hours| (0.25..=4.0).contains(hours)), "{hours:?}");
}
