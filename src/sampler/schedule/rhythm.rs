//! The beats at which sources are read.

use std::time::Duration;

use crate::base::clock::Tick;

/// The beats of every interval, with one random offset.
///
/// Sources with the same interval are read at the same beats, and sources with a multiple of it at some of them, so that
/// the process wakes as rarely as possible. The offset is drawn once and not for each reading, so that intervals stay
/// even, and processes that were started together do not read together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    shift: u64,
}

impl Rhythm {
    pub(super) fn random() -> Self {
        // Any range that is much longer than the longest interval.
        Self { shift: fastrand::u64(..1 << 53) }
    }

    /// The first beat of this interval that is not before `earliest`.
    pub(super) fn beat(self, every: Duration, earliest: Tick) -> Tick {
        let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
        let first = self.shift % every;
        let beats = earliest.0.saturating_sub(first).div_ceil(every);
        Tick(first.saturating_add(beats.saturating_mul(every)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn beats_are_within_one_interval_and_are_shared(
            shift in 0..1_u64 << 53,
            every in 1..3_600_000_000_000_u64,
            times in 1..60_u64,
            earliest in 0..1_u64 << 60,
        ) {
            let (rhythm, interval) = (Rhythm { shift }, Duration::from_nanos(every));
            let beat = rhythm.beat(interval, Tick(earliest));
            prop_assert!(beat.0 >= earliest && beat.0 - earliest < every.max(shift + 1));
            prop_assert_eq!(rhythm.beat(interval, beat), beat);
            prop_assert_eq!(rhythm.beat(interval, Tick(beat.0 + 1)), beat + interval);
            // A beat of a multiple of an interval is a beat of that interval too.
            let long = rhythm.beat(interval * u32::try_from(times).unwrap(), Tick(earliest));
            prop_assert_eq!(rhythm.beat(interval, long), long);
        }
    }
}
