//! So many letters a second.

use std::time::Duration;

use tokio::time::Instant;

/// How far a letter may come late, so that its followers make up for it: timers wake up to a millisecond late, and
/// tasks later than that. What is later is forgotten, so that a service that was slow for a while meets no burst.
const SLACK: Duration = Duration::from_millis(5);

/// A schedule of moments, each for one letter. They are counted from one origin, so that no error adds up.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: Option<f64>,
    origin: Instant,
    taken: u64,
}

impl Pace {
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self { per_second, origin: Instant::now(), taken: 0 }
    }

    /// When the next letter may go; none is now.
    pub(super) fn next(&self) -> Option<Instant> {
        let per_second = self.per_second?;
        let after = Duration::try_from_secs_f64(self.taken as f64 / per_second).unwrap_or(Duration::MAX);
        self.origin.checked_add(after)
    }

    /// A letter goes at `now`.
    pub(super) fn take(&mut self, now: Instant) {
        if let Some(next) = self.next()
            && let Some(earliest) = now.checked_sub(SLACK)
            && next < earliest
        {
            self.origin = earliest;
            self.taken = 0;
        }
        self.taken += 1;
    }
}
