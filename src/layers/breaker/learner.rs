//! The learner of a circuit's slow-call limit; [`Adaptive`] has the rules.
//!
//! Durations are counted in exponential buckets, eight per power of two, so the error of the p95 is at most 1/16 (6.3 %).
//! Buckets exist only from floor to ceiling: 80 for a limit of two seconds with the default bounds, which take 640 bytes;
//! the rest takes about 110.

use std::time::Duration;

use super::adaptive::Adaptive;
use crate::base::clock::{Tick, nanos};
use crate::base::sketch::{log_bucket, log_middle};

const STEPS_LOG2: u32 = 3;

/// Minimum number of calls of a turn: the p95 of fewer is chance.
const MIN_CALLS: u32 = 128;
/// The clock is read once for this many calls.
const CALLS_PER_CLOCK_READ: u32 = 32;

/// The largest fall and rise of the limit in a period, as a part of it. It rises slower, since a slow service may be
/// failing.
const FALL: u64 = 32;
const RISE: u64 = 128;
/// A turn moves the limit at most as far as this many periods, however long it took to fill.
const MAX_PERIODS: u64 = 8;

/// The unit of learned counts is this part of a call, so that decay does not remove the few calls of a small bucket.
const PARTS: u64 = 16;

/// A turn is discarded if its share of failures reaches this part of the rate that opens the circuit.
const QUIET: f64 = 0.1;
/// The usual share of failures before the first turn, as a part of that share.
const PRIOR: f64 = 0.2;
/// How much the usual share of failures follows a learned turn, and a discarded one.
const FOLLOW_LEARNED: f64 = 1.0 / 16.0;
const FOLLOW_DISCARDED: f64 = 1.0 / 64.0;
/// The recent share of failures covers about this many calls.
const RECENT_CALLS: f32 = 64.0;

/// The learner of a circuit, used under the lock of the circuit.
#[derive(Debug)]
pub(super) struct Learner {
    floor: u64,
    ceiling: u64,
    factor: f64,
    period: u64,
    /// The current limit, and the configured one.
    limit: u64,
    configured: u64,
    /// Calls still needed for the first limit.
    missing: u32,
    /// The number of the first bucket. It also holds shorter durations, and the last one longer ones.
    first: usize,
    buckets: Box<[Bucket]>,
    /// The current turn: its start, successes and failures.
    since: Tick,
    calls: u32,
    failures: u32,
    /// The usual share of failures; `None` before the first turn.
    usual: Option<f32>,
    /// The recent share of failures, also of discarded turns.
    recent_failures: f32,
    /// The time of the last decision about the limit.
    moved: Tick,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Calls of the current turn.
    fresh: u32,
    /// The learned counts, in [`PARTS`] of a call.
    kept: u32,
}

impl Learner {
    /// `limit` is the configured one.
    pub(super) fn new(adaptive: &Adaptive, limit: Duration, now: Tick) -> Self {
        let (floor, ceiling) = adaptive.bounds(limit);
        // One more bucket at each end, outside the bounds.
        let first = log_bucket::<STEPS_LOG2>(scaled(floor, 1.0 / adaptive.factor)).saturating_sub(1);
        let last = log_bucket::<STEPS_LOG2>(scaled(ceiling, 1.0 / adaptive.factor)) + 1;
        let last = last.min(log_bucket::<STEPS_LOG2>(u64::MAX));
        Self {
            floor,
            ceiling,
            factor: adaptive.factor,
            period: nanos(adaptive.period).max(1),
            limit: nanos(limit),
            configured: nanos(limit),
            missing: adaptive.warm_up_calls,
            first,
            buckets: vec![Bucket::default(); last - first + 1].into_boxed_slice(),
            since: now,
            calls: 0,
            failures: 0,
            usual: None,
            recent_failures: 0.0,
            moved: now,
        }
    }

    /// Counts a success of a closed circuit after `elapsed` nanoseconds; returns the new limit if it changes. The circuit
    /// opens at `failure_rate`.
    #[inline]
    pub(super) fn learn(
        &mut self,
        elapsed: u64,
        failure_rate: f64,
        now: impl FnOnce() -> Tick,
    ) -> Option<u64> {
        if elapsed > self.limit.saturating_mul(2) {
            return None;
        }
        let place = log_bucket::<STEPS_LOG2>(elapsed).saturating_sub(self.first);
        let bucket = &mut self.buckets[place.min(self.buckets.len() - 1)];
        bucket.fresh = bucket.fresh.saturating_add(1);
        self.calls = self.calls.saturating_add(1);
        if self.calls.is_multiple_of(CALLS_PER_CLOCK_READ) && self.calls >= MIN_CALLS {
            self.end_turn(failure_rate, now())
        } else {
            None
        }
    }

    /// Counts the end of a call of a closed circuit.
    #[inline]
    pub(super) fn observe(&mut self, failed: bool) {
        self.recent_failures += (f32::from(u8::from(failed)) - self.recent_failures) / RECENT_CALLS;
    }

    /// Counts a failure of a closed circuit.
    #[inline]
    pub(super) fn count_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Discards the current turn and starts another.
    pub(super) fn discard(&mut self, now: Tick) {
        self.begin(now);
        for bucket in &mut self.buckets {
            bucket.fresh = 0;
        }
    }

    fn begin(&mut self, now: Tick) {
        self.since = now;
        self.calls = 0;
        self.failures = 0;
    }

    #[cold]
    fn end_turn(&mut self, failure_rate: f64, now: Tick) -> Option<u64> {
        // A thread with a later reading of the clock may have come first.
        self.since = self.since.min(now);
        let periods = nanos(now.since(self.since)) / self.period;
        if periods == 0 {
            return None;
        }
        let calls = self.calls;
        if !self.is_quiet(failure_rate) {
            self.discard(now);
            return None;
        }
        self.begin(now);
        let p95 = self.add_turn();
        let is_first = self.missing > 0;
        self.missing = self.missing.saturating_sub(calls);
        self.moved = now;
        if self.missing > 0 {
            return None;
        }
        let most = |part: u64| (self.limit / part).max(1) * periods.min(MAX_PERIODS);
        let wanted = scaled(p95, self.factor);
        let lowest = if is_first { 0 } else { self.limit.saturating_sub(most(FALL)) };
        self.move_to(wanted.clamp(lowest, self.limit.saturating_add(most(RISE))))
    }

    /// Whether the failures of the turn are usual, within chance.
    #[allow(clippy::cast_possible_truncation)] // A share needs no more digits.
    fn is_quiet(&mut self, failure_rate: f64) -> bool {
        let (failures, most) = (f64::from(self.failures), failure_rate * QUIET);
        let all = f64::from(self.calls) + failures;
        let (share, usual) = (failures / all, self.usual.map_or(most * PRIOR, f64::from));
        let expected = usual * all;
        let is_quiet = share < most && failures <= expected + 3.0 * (expected + 1.0).sqrt();
        if share < most {
            // A permanently higher share becomes usual after some time.
            self.usual = Some(
                (usual + if is_quiet { FOLLOW_LEARNED } else { FOLLOW_DISCARDED } * (share - usual)) as f32,
            );
        }
        is_quiet
    }

    /// Slow calls opened the circuit, or opened it again. Raises the limit at its usual pace, up to the configured limit, if
    /// few calls failed recently; returns the new limit. So a permanently slower service is admitted again in the end.
    pub(super) fn raise_after_slow_calls(&mut self, failure_rate: f64, now: Tick) -> Option<u64> {
        if f64::from(self.recent_failures) >= failure_rate * QUIET {
            return None;
        }
        self.moved = self.moved.min(now);
        let periods = nanos(now.since(self.moved)) / self.period;
        if periods == 0 || self.limit >= self.configured {
            return None;
        }
        self.moved = now;
        let most = (self.limit / RISE).max(1) * periods.min(MAX_PERIODS);
        self.move_to(self.limit.saturating_add(most).min(self.configured))
    }

    fn move_to(&mut self, limit: u64) -> Option<u64> {
        let limit = limit.clamp(self.floor, self.ceiling);
        (std::mem::replace(&mut self.limit, limit) != limit).then_some(limit)
    }

    /// Adds the turn to the learned counts; returns their p95.
    fn add_turn(&mut self) -> u64 {
        let mut total = 0;
        for bucket in &mut self.buckets {
            let kept = u64::from(bucket.kept) * 3 / 4 + u64::from(bucket.fresh) * PARTS;
            *bucket = Bucket { fresh: 0, kept: u32::try_from(kept).unwrap_or(u32::MAX) };
            total += u64::from(bucket.kept);
        }
        let rank = total - total / 20;
        let mut seen = 0;
        let place = self.buckets.iter().position(|bucket| {
            seen += u64::from(bucket.kept);
            seen >= rank
        });
        log_middle::<STEPS_LOG2>(self.first + place.unwrap_or(0))
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` cuts at both ends.
fn scaled(value: u64, factor: f64) -> u64 {
    (value as f64 * factor) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000_000_000;

    fn learner(adaptive: Adaptive) -> Learner {
        Learner::new(&adaptive, Duration::from_millis(100), Tick(MINUTE))
    }

    /// A turn of these calls, a minute long.
    fn turn(learner: &mut Learner, at: &mut u64, calls: impl IntoIterator<Item = u64>) {
        *at += MINUTE;
        for elapsed in calls {
            learner.learn(elapsed, 0.5, || Tick(*at));
        }
    }

    #[test]
    fn its_size_is_as_documented() {
        let learner = Learner::new(&Adaptive::default(), Duration::from_secs(2), Tick(MINUTE));
        assert_eq!(size_of_val(&*learner.buckets), 640);
        assert!(size_of_val(&learner) <= 120, "{}", size_of_val(&learner));
    }

    #[test]
    fn an_earlier_reading_of_the_clock_does_no_harm() {
        let mut learner = learner(Adaptive { warm_up_calls: 20, ..Adaptive::default() });
        learner.discard(Tick(u64::MAX));
        // The minute starts again with the earlier reading.
        let mut at = 5 * MINUTE;
        turn(&mut learner, &mut at, [20_000_000; 128]);
        assert_eq!(learner.limit, 100_000_000);
        turn(&mut learner, &mut at, [20_000_000; 128]);
        assert!(learner.limit < 50_000_000, "{}", learner.limit);
        learner.learn(0, 0.5, || Tick(0));
        turn(&mut learner, &mut 0, [20_000_000; 256]);
        assert!(learner.limit < 50_000_000, "{}", learner.limit);
    }

    proptest! {
        #[test]
        fn the_first_limit_is_the_p95_times_the_factor(
            mut calls in prop::collection::vec(20_000_000_u64..100_000_000, 128..400),
            factor in 1.0_f64..3.0,
        ) {
            let settings = Adaptive {
                floor: Some(Duration::from_millis(1)),
                ceiling: Some(Duration::from_secs(1)),
                factor,
                warm_up_calls: 20,
                ..Adaptive::default()
            };
            let mut learner = learner(settings);
            // The limit can change with each 32nd call.
            calls.truncate(calls.len() / CALLS_PER_CLOCK_READ as usize * CALLS_PER_CLOCK_READ as usize);
            let (last, others) = calls.split_at(1);
            turn(&mut learner, &mut 0, others.iter().copied());
            turn(&mut learner, &mut MINUTE.clone(), last.iter().copied());
            calls.sort_unstable();
            let p95 = calls[calls.len() - calls.len() / 20 - 1] as f64;
            // It rises in small steps.
            let wanted = (p95 * factor).min(103_125_000.0);
            let error = (learner.limit as f64 - wanted).abs() / wanted;
            prop_assert!(error <= 1.0 / 16.0 + 1e-6, "{} for {wanted}", learner.limit);
        }

        #[test]
        fn the_limit_stays_in_its_bounds_and_moves_in_small_steps(
            turns in prop::collection::vec((any::<u64>(), any::<u64>(), 0_u32..64, 0_u32..400, 0_u32..400), 0..40),
        ) {
            let mut learner = learner(Adaptive { warm_up_calls: 20, ..Adaptive::default() });
            let mut is_first = true;
            for (now, elapsed, shift, calls, failures) in turns {
                for _ in 0..failures {
                    learner.count_failure();
                }
                for _ in 0..calls {
                    let before = learner.limit;
                    let new = learner.learn(elapsed >> shift, 0.5, || Tick(now));
                    prop_assert_eq!(new.unwrap_or(before), learner.limit);
                    prop_assert!((10_000_000..=400_000_000).contains(&learner.limit));
                    let moved = learner.limit.abs_diff(before);
                    prop_assert!(moved <= before / 4 || is_first);
                    is_first &= moved == 0;
                }
            }
        }
    }
}
