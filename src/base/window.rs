//! Rolling counts of the last N calls or of the last T of time. The cost of a call does not depend on the traffic.
//!
//! A count window is exact and takes two bytes per call. A time window has ten buckets: a call leaves it at most one bucket
//! late, and never early.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::{Tick, nanos};
use crate::base::error::ConfigError;

/// The calls that count.
///
/// # Example
/// ```
/// use campanile::Window;
/// use std::time::Duration;
///
/// let last_hundred = Window::count(100);
/// let last_half_minute = Window::time(Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Window {
    /// The last N calls: from 1 to 1,000,000.
    Count(u32),
    /// The calls of the last T: at least 10 ms.
    Time(#[serde(with = "crate::base::duration")] Duration),
}

impl Window {
    /// The last `calls` calls.
    #[must_use]
    pub const fn count(calls: u32) -> Self {
        Self::Count(calls)
    }

    /// The calls of the last `duration`.
    #[must_use]
    pub const fn time(duration: Duration) -> Self {
        Self::Time(duration)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Count(calls) => ConfigError::check(
                (1..=1_000_000).contains(&calls),
                "window",
                calls,
                "from 1 to 1,000,000 calls",
            ),
            Self::Time(time) => ConfigError::check(
                time >= Duration::from_millis(10) && time <= Duration::from_secs(86_400),
                "window",
                time,
                "from 10 ms to one day",
            ),
        }
    }
}

/// A call, as a window counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// The counts of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

impl Counts {
    /// The share of failures; 0 without calls.
    pub(crate) fn failure_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// The share of slow calls; 0 without calls.
    pub(crate) fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.calls += 1;
        self.failures += u64::from(sample.failed);
        self.slow += u64::from(sample.slow);
    }

    fn remove(&mut self, other: Counts) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The running counts of a [`Window`].
#[derive(Clone, Debug)]
pub(crate) enum Rolling {
    Count(Ring),
    Time(Box<Buckets>),
}

impl Rolling {
    pub(crate) fn new(window: Window) -> Self {
        match window {
            Window::Count(calls) => Self::Count(Ring::new(calls as usize)),
            Window::Time(time) => Self::Time(Box::new(Buckets::new(time))),
        }
    }

    /// Counts a call and returns the counts.
    pub(crate) fn record(&mut self, now: Tick, sample: Sample) -> Counts {
        match self {
            Self::Count(ring) => ring.record(sample),
            Self::Time(buckets) => buckets.record(now, sample),
        }
    }

    pub(crate) fn counts(&mut self, now: Tick) -> Counts {
        match self {
            Self::Count(ring) => ring.counts,
            Self::Time(buckets) => buckets.counts(now),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Count(ring) => ring.clear(),
            Self::Time(buckets) => buckets.clear(),
        }
    }

    /// Whether another success would change nothing: the window is full of successes.
    pub(crate) fn is_spotless(&self) -> bool {
        match self {
            Self::Count(ring) => ring.is_spotless(),
            // In a time window, every call counts.
            Self::Time(_) => false,
        }
    }

    /// Whether recording needs the time.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self, Self::Time(_))
    }
}

/// The last N calls.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    slots: Box<[Slot]>,
    next: usize,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Taken(Sample),
}

impl Ring {
    fn new(calls: usize) -> Self {
        Self { slots: vec![Slot::Empty; calls.max(1)].into_boxed_slice(), next: 0, counts: Counts::default() }
    }

    fn record(&mut self, sample: Sample) -> Counts {
        if let Slot::Taken(old) = std::mem::replace(&mut self.slots[self.next], Slot::Taken(sample)) {
            let mut gone = Counts::default();
            gone.add(old);
            self.counts.remove(gone);
        }
        self.counts.add(sample);
        self.next += 1;
        if self.next == self.slots.len() {
            self.next = 0;
        }
        self.counts
    }

    fn is_spotless(&self) -> bool {
        self.counts.calls == self.slots.len() as u64 && self.counts.failures == 0 && self.counts.slow == 0
    }

    fn clear(&mut self) {
        self.slots.fill(Slot::Empty);
        self.next = 0;
        self.counts = Counts::default();
    }
}

const BUCKETS: u64 = 10;

/// The calls of the last T, in ten buckets of T/10 and the one that is being filled.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    width: u64,
    /// The number of the newest bucket: time divided by width.
    newest: u64,
    ring: [Counts; BUCKETS as usize + 1],
    counts: Counts,
}

impl Buckets {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            width: (nanos(time) / BUCKETS).max(1),
            newest: 0,
            ring: [Counts::default(); BUCKETS as usize + 1],
            counts: Counts::default(),
        }
    }

    pub(crate) fn record(&mut self, now: Tick, sample: Sample) -> Counts {
        self.advance(now);
        let place = self.place(self.newest);
        self.ring[place].add(sample);
        self.counts.add(sample);
        self.counts
    }

    pub(crate) fn counts(&mut self, now: Tick) -> Counts {
        self.advance(now);
        self.counts
    }

    pub(crate) fn clear(&mut self) {
        self.ring = [Counts::default(); BUCKETS as usize + 1];
        self.counts = Counts::default();
    }

    fn place(&self, number: u64) -> usize {
        (number % self.ring.len() as u64) as usize
    }

    /// Empties the buckets that have left the window. The newest bucket never moves back, even if a thread has an earlier
    /// reading of the clock.
    fn advance(&mut self, now: Tick) {
        let number = now.0 / self.width;
        if number <= self.newest {
            return;
        }
        let steps = (number - self.newest).min(self.ring.len() as u64);
        for step in 1..=steps {
            let place = self.place(number - steps + step);
            let gone = std::mem::take(&mut self.ring[place]);
            self.counts.remove(gone);
        }
        self.newest = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count<'a>(samples: impl Iterator<Item = &'a Sample>) -> Counts {
        let mut counts = Counts::default();
        samples.for_each(|sample| counts.add(*sample));
        counts
    }

    #[test]
    fn p05_an_earlier_reading_of_the_clock_removes_no_calls() {
        let mut window = Rolling::new(Window::time(Duration::from_millis(10)));
        let sample = Sample { failed: true, slow: false };
        window.record(Tick(100_000_000), sample);
        assert_eq!(window.record(Tick(1), sample).failures, 2);
        assert_eq!(window.counts(Tick(109_000_000)).failures, 2);
        assert_eq!(window.counts(Tick(u64::MAX)), Counts::default());
        window.record(Tick(u64::MAX), sample);
        window.clear();
        assert_eq!(window.counts(Tick(u64::MAX)), Counts::default());
    }

    proptest! {
        #[test]
        fn p05_a_count_window_is_the_last_n_calls(size in 1_u32..50, calls in prop::collection::vec(any::<(bool, bool)>(), 0..300)) {
            let mut window = Rolling::new(Window::count(size));
            let mut all = Vec::new();
            for (failed, slow) in calls {
                let sample = Sample { failed, slow };
                all.push(sample);
                let counts = window.record(Tick(0), sample);
                prop_assert_eq!(counts, count(all.iter().rev().take(size as usize)));
            }
        }

        #[test]
        fn p05_a_time_window_is_the_last_t_to_one_bucket(width in 10_u64..1_000, steps in prop::collection::vec((0_u64..5_000, any::<bool>(), any::<bool>()), 0..200)) {
            let mut window = Rolling::new(Window::time(Duration::from_millis(width)));
            let time = width * 1_000_000;
            let bucket = time / 10;
            let mut now = 0;
            let mut all: Vec<(u64, Sample)> = Vec::new();
            for (step, failed, slow) in steps {
                now += step * 1_000_000 / 4;
                let sample = Sample { failed, slow };
                all.push((now, sample));
                let counts = window.record(Tick(now), sample);
                let least = count(all.iter().filter(|(at, _)| at + time > now).map(|(_, sample)| sample));
                let most = count(all.iter().filter(|(at, _)| at + time + bucket > now).map(|(_, sample)| sample));
                prop_assert!(counts.calls >= least.calls && counts.calls <= most.calls);
                prop_assert!(counts.failures >= least.failures && counts.failures <= most.failures);
                prop_assert!(counts.slow >= least.slow && counts.slow <= most.slow);
            }
        }
    }
}
