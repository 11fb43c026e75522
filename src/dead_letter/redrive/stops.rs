//! When a redrive waits, and when it gives up.

use std::time::Duration;

use tokio::time::Instant;

use super::report::StopReason;
use super::settings::Redrive;

/// How long to wait when a breaker does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// A pause is no shorter, so that a breaker that says "now" is not asked in a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// A pause is no longer, whatever a breaker says.
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

/// Counts what fails.
#[derive(Debug)]
pub(super) struct Failures {
    in_a_row: u32,
    share: f64,
    minimum: u64,
    streak: u32,
    sent: u64,
    failed: u64,
}

impl Failures {
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

    /// One more letter got through, or failed; gives the reason to stop, if it is one.
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

/// Waits for a breaker, and then asks it with one letter alone.
#[derive(Debug)]
pub(super) struct Pauses {
    max: Duration,
    /// Time paused since the last success.
    spent: Duration,
    until: Option<Instant>,
    probing: bool,
}

impl Pauses {
    pub(super) fn new(max: Duration, probing: bool) -> Self {
        Self { max, spent: Duration::ZERO, until: None, probing }
    }

    /// Until when nothing is sent.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// How many may be under way.
    pub(super) fn limit(&self, concurrency: usize) -> usize {
        if self.probing { 1 } else { concurrency }
    }

    /// A letter goes: the pause, if there was one, is over.
    pub(super) fn sent(&mut self) {
        self.until = None;
    }

    /// A letter was not refused. Those that were sent before a pause say nothing about what is now.
    pub(super) fn passed(&mut self, succeeded: bool) {
        if self.until.is_none() {
            self.probing = false;
        }
        if succeeded {
            self.spent = Duration::ZERO;
        }
    }

    /// A breaker refused: gives the time that is paused for longer than before, or the reason to stop.
    pub(super) fn refused(&mut self, retry_after: Option<Duration>) -> Result<Duration, StopReason> {
        let now = Instant::now();
        self.probing = true;
        // Several that were under way are refused together; they wait together too.
        let from = self.until.map_or(now, |until| until.max(now));
        let until = now + retry_after.unwrap_or(PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let longer = until.saturating_duration_since(from);
        if self.spent.saturating_add(longer) > self.max {
            return Err(StopReason::CircuitOpen(retry_after));
        }
        self.spent = self.spent.saturating_add(longer);
        self.until = Some(until.max(from));
        Ok(longer)
    }
}
