//! How often something began within the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::{Tick, nanos};

/// The window that slides.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// The beginnings of the last hour. Holds no more than the limit that [`Hour::is_full`] is asked with.
#[derive(Debug, Default)]
pub(super) struct Hour(VecDeque<Tick>);

impl Hour {
    pub(super) fn begin(&mut self, now: Tick) {
        self.forget(now);
        self.0.push_back(now);
    }

    /// Those that began so long before `now`, the longest ago first, began too.
    pub(super) fn recall(&mut self, now: Tick, ages: &[Duration]) {
        // A machine may have started later than that: then they count for longer.
        let ticks = ages.iter().map(|age| Tick(now.0.saturating_sub(nanos(*age))));
        self.0.extend(ticks);
        self.0.make_contiguous().sort_unstable();
    }

    /// Whether `limit` began within the hour that ends now.
    pub(super) fn is_full(&mut self, now: Tick, limit: u32) -> bool {
        self.count(now) >= limit
    }

    pub(super) fn count(&mut self, now: Tick) -> u32 {
        self.forget(now);
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// How long until one more of `limit` may begin.
    pub(super) fn room_in(&mut self, now: Tick, limit: u32) -> Duration {
        let excess = (self.count(now) + 1).saturating_sub(limit);
        let last_in_the_way = (excess as usize).checked_sub(1).and_then(|place| self.0.get(place));
        last_in_the_way.map_or(Duration::ZERO, |began| HOUR.saturating_sub(now.since(*began)))
    }

    fn forget(&mut self, now: Tick) {
        while self.0.front().is_some_and(|began| now.since(*began) >= HOUR) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_slides() {
        let at = |seconds| Tick(0) + Duration::from_secs(seconds);
        let mut hour = Hour::default();
        assert_eq!(hour.room_in(at(0), 2), Duration::ZERO);
        hour.begin(at(0));
        hour.begin(at(1_000));
        assert!(hour.is_full(at(3_599), 2) && !hour.is_full(at(3_599), 3));
        assert_eq!(hour.room_in(at(3_000), 2), Duration::from_secs(600));
        assert_eq!(hour.room_in(at(3_000), 1), Duration::from_secs(1_600));
        assert!(!hour.is_full(at(3_600), 2));
        assert_eq!((hour.count(at(4_599)), hour.count(at(4_600))), (1, 0));
    }
}
