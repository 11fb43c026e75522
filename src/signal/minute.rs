//! Calls of the last minute, for those that only look at them now and then.

use super::vitals::LOOK_BACK;
use crate::clock::Tick;

const BUCKETS: u64 = 10;
const WIDTH: u64 = LOOK_BACK.as_nanos() as u64 / BUCKETS;
const RING: usize = BUCKETS as usize + 1;

/// The calls of the last [`LOOK_BACK`], in ten buckets and the one that is being filled.
///
/// As [`Buckets`](crate::window::Buckets), with durations and without a running sum: what is read every few
/// seconds and written at each call adds up when it is read.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// Where the bucket stands that is being filled, and when that ends.
    place: usize,
    ends: u64,
    ring: [Bucket; RING],
    /// When the last call ended.
    pub(super) last: Tick,
}

/// The calls of one bucket; that many in six seconds are more than anybody makes.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    calls: u32,
    failures: u32,
    nanos: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) nanos: u64,
}

impl Minute {
    #[inline]
    pub(super) fn record(&mut self, now: Tick, nanos: u64, failed: bool) {
        if now.0 >= self.ends {
            self.advance(now);
        }
        self.last = self.last.max(now);
        let bucket = &mut self.ring[self.place];
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(failed));
        bucket.nanos = bucket.nanos.saturating_add(nanos);
    }

    pub(super) fn sum(&mut self, now: Tick) -> Calls {
        if now.0 >= self.ends {
            self.advance(now);
        }
        self.ring.iter().fold(Calls::default(), |sum, bucket| Calls {
            calls: sum.calls + u64::from(bucket.calls),
            failures: sum.failures + u64::from(bucket.failures),
            nanos: sum.nanos.saturating_add(bucket.nanos),
        })
    }

    /// Empties the buckets that have left the window. A clock read before another thread's does no harm: the
    /// newest bucket never moves back.
    #[cold]
    fn advance(&mut self, now: Tick) {
        let (number, newest) = (now.0 / WIDTH, (self.ends / WIDTH).saturating_sub(1));
        let first = (newest + 1).max((number + 1).saturating_sub(RING as u64));
        for gone in first..=number {
            self.ring[place(gone)] = Bucket::default();
        }
        self.place = place(number);
        self.ends = number.saturating_add(1).saturating_mul(WIDTH);
    }
}

fn place(number: u64) -> usize {
    (number % RING as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn it_holds_the_calls_of_the_last_minute_to_one_bucket(steps in prop::collection::vec((0_u64..40, 0_u64..10_000, any::<bool>()), 1..100)) {
            let mut minute = Minute::default();
            let mut now = Tick(1);
            let mut all = Vec::new();
            for (step, nanos, failed) in steps {
                now = now + Duration::from_secs(step);
                minute.record(now, nanos, failed);
                all.push((now.0 / WIDTH, nanos, failed));
                let counted = all.iter().filter(|(bucket, ..)| bucket + BUCKETS >= now.0 / WIDTH);
                let expected = counted.fold(Calls::default(), |sum, (_, nanos, failed)| Calls {
                    calls: sum.calls + 1,
                    failures: sum.failures + u64::from(*failed),
                    nanos: sum.nanos + nanos,
                });
                prop_assert_eq!(minute.sum(now), expected);
                prop_assert_eq!(minute.last, now);
            }
        }
    }
}
