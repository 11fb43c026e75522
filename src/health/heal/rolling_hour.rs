//! The number of starts within the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::{Tick, nanos};

pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// The starts of the last hour, the oldest first. Holds no more than the limit that [`is_full`](RollingHour::is_full) is
/// called with.
#[derive(Debug, Default)]
pub(super) struct RollingHour(VecDeque<Tick>);

impl RollingHour {
    pub(super) fn add(&mut self, now: Tick) {
        self.remove_old(now);
        self.0.push_back(now);
    }

    /// Adds earlier starts by their ages, the oldest first.
    pub(super) fn restore(&mut self, now: Tick, ages: &[Duration]) {
        // If the machine started later than that, the starts count for longer.
        let ticks = ages.iter().map(|age| Tick(now.0.saturating_sub(nanos(*age))));
        self.0.extend(ticks);
        self.0.make_contiguous().sort_unstable();
    }

    /// Whether the hour until `now` has `limit` starts.
    pub(super) fn is_full(&mut self, now: Tick, limit: u32) -> bool {
        self.count(now) >= limit
    }

    pub(super) fn count(&mut self, now: Tick) -> u32 {
        self.remove_old(now);
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The time until `limit` allows one more start.
    pub(super) fn room_in(&mut self, now: Tick, limit: u32) -> Duration {
        let excess = (self.count(now) + 1).saturating_sub(limit);
        let last_in_the_way = (excess as usize).checked_sub(1).and_then(|place| self.0.get(place));
        last_in_the_way.map_or(Duration::ZERO, |start| HOUR.saturating_sub(now.since(*start)))
    }

    fn remove_old(&mut self, now: Tick) {
        while self.0.front().is_some_and(|start| now.since(*start) >= HOUR) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_a_rolling_window() {
        let at = |seconds| Tick(0) + Duration::from_secs(seconds);
        let mut hour = RollingHour::default();
        assert_eq!(hour.room_in(at(0), 2), Duration::ZERO);
        hour.add(at(0));
        hour.add(at(1_000));
        assert!(hour.is_full(at(3_599), 2) && !hour.is_full(at(3_599), 3));
        assert_eq!(hour.room_in(at(3_000), 2), Duration::from_secs(600));
        assert_eq!(hour.room_in(at(3_000), 1), Duration::from_secs(1_600));
        assert!(!hour.is_full(at(3_600), 2));
        assert_eq!((hour.count(at(4_599)), hour.count(at(4_600))), (1, 0));
    }
}
