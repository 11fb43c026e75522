//! How fast a redrive sends, when it waits for a circuit breaker, and when it stops.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::Redrive;
use crate::dead_letter::running::StopReason;

/// How much lateness a rate makes up for. Timers are up to a millisecond late, and tasks later. More is not made up for, so
/// that a service that was slow for a while gets no burst.
const MAX_CATCH_UP: Duration = Duration::from_millis(5);

/// The pause if a breaker does not say how long to wait.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// The shortest pause, so that a breaker that says "now" is not asked in a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause that a breaker can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// Spaces letters evenly. Their times are computed from one origin, so that errors do not add up.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: Option<f64>,
    origin: Instant,
    sent: u64,
}

impl Rate {
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self { per_second, origin: Instant::now(), sent: 0 }
    }

    /// When the next letter may be sent; `None` means now.
    pub(super) fn next(&self) -> Option<Instant> {
        let per_second = self.per_second?;
        let after = Duration::try_from_secs_f64(self.sent as f64 / per_second).unwrap_or(Duration::MAX);
        self.origin.checked_add(after)
    }

    /// A letter is sent at `now`.
    pub(super) fn record(&mut self, now: Instant) {
        if let Some(next) = self.next()
            && let Some(earliest) = now.checked_sub(MAX_CATCH_UP)
            && next < earliest
        {
            self.origin = earliest;
            self.sent = 0;
        }
        self.sent += 1;
    }
}

/// Counts failures, and decides when there are too many.
#[derive(Debug)]
pub(super) struct FailureLimit {
    in_a_row: u32,
    share: f64,
    minimum: u64,
    streak: u32,
    sent: u64,
    failed: u64,
}

impl FailureLimit {
    pub(super) fn new(redrive: &Redrive) -> Self {
        Self {
            in_a_row: redrive.stop_after,
            share: redrive.stop_at_failure_rate,
            minimum: redrive.failure_rate_minimum,
            streak: 0,
            sent: 0,
            failed: 0,
        }
    }

    /// Counts a letter that was delivered or failed. Returns the reason to stop, if there is one.
    pub(super) fn count(&mut self, failed: bool) -> Option<StopReason> {
        self.sent += 1;
        self.failed += u64::from(failed);
        self.streak = if failed { self.streak + 1 } else { 0 };
        if self.streak >= self.in_a_row {
            return Some(StopReason::Failures(self.streak));
        }
        let too_many = self.failed as f64 >= self.share * self.sent as f64;
        (failed && self.sent >= self.minimum && too_many)
            .then_some(StopReason::FailureRate { failed: self.failed, sent: self.sent })
    }
}

/// Pauses while a circuit breaker rejects letters, and then sends a single letter as a probe.
#[derive(Debug)]
pub(super) struct CircuitPause {
    max: Duration,
    /// The time paused since the last success.
    paused: Duration,
    until: Option<Instant>,
    probing: bool,
}

impl CircuitPause {
    pub(super) fn new(max: Duration, probing: bool) -> Self {
        Self { max, paused: Duration::ZERO, until: None, probing }
    }

    /// Nothing is sent before this time.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// How many letters may be sent at once.
    pub(super) fn limit(&self, concurrency: usize) -> usize {
        if self.probing { 1 } else { concurrency }
    }

    /// A letter is sent, so a pause has ended.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    /// A letter was not rejected. If it was sent before the pause, it says nothing about the circuit now.
    pub(super) fn admitted(&mut self, succeeded: bool) {
        if self.until.is_none() {
            self.probing = false;
        }
        if succeeded {
            self.paused = Duration::ZERO;
        }
    }

    /// A letter was rejected. Returns by how much the pause is longer now, or the reason to stop.
    pub(super) fn rejected(&mut self, retry_after: Option<Duration>) -> Result<Duration, StopReason> {
        let now = Instant::now();
        self.probing = true;
        // Letters that were sent at once are rejected together, and share one pause.
        let from = self.until.map_or(now, |until| until.max(now));
        let until = now + retry_after.unwrap_or(DEFAULT_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let longer = until.saturating_duration_since(from);
        if self.paused.saturating_add(longer) > self.max {
            return Err(StopReason::CircuitOpen(retry_after));
        }
        self.paused = self.paused.saturating_add(longer);
        self.until = Some(until.max(from));
        Ok(longer)
    }
}
