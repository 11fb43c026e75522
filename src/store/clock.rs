//! The clock of a store, which no change of the wall clock moves.
//!
//! Callers date letters by the wall clock. The wall clock may be set by an hour or by years while letters wait, and the
//! clocks of two machines may differ as much. So every decision by time uses a clock of the store: the end of a lease,
//! when a letter is due, its age, its expiry, the minute of a failure. That clock is monotonic. Times are converted when
//! they enter the store and when they leave it.
//!
//! While the two clocks are less than a minute apart, times are not converted: a store returns exactly what was put.

use std::time::{Duration, SystemTime};

use super::entry::Entry;
use crate::base::clock::{self, Tick};
use crate::base::moment::{self, from_micros, micros};
use crate::base::sync::Mutex;

/// Below this offset between the clocks, times are not converted. In microseconds.
const TOLERANCE: i64 = 60_000_000;

/// A change of the offset by this much means that the wall clock was set or that the machine slept. In microseconds.
const STEP: i64 = 1_000_000;

/// The latest time that a store can keep. It stands for "never".
const LATEST: i64 = i64::MAX;

/// The clock of a store.
#[derive(Debug)]
pub(super) struct StoreClock(Mutex<State>);

#[derive(Debug)]
struct State {
    tick: Tick,
    /// The time of this clock at `tick`.
    moment: i64,
    /// The uptime of the machine at `tick`, sleep included, where it is known.
    up: Option<Duration>,
    /// How far the wall clock was ahead at the last check.
    offset: i64,
}

/// One reading of both clocks. It converts times between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Microseconds since 1970 by the clock of the store.
    now: i64,
    /// How far the wall clock is ahead.
    offset: i64,
}

impl StoreClock {
    /// A clock that starts at `moment`.
    pub(super) fn new(moment: SystemTime) -> Self {
        Self(Mutex::new(State::new(signed(moment))))
    }

    /// Sets the clock to `moment`.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(super) fn set(&self, moment: SystemTime) {
        *self.0.lock() = State::new(signed(moment));
    }

    /// Reads both clocks.
    pub(super) fn read(&self) -> Reading {
        let mut state = self.0.lock();
        let now = state.at(clock::now());
        let offset = signed(moment::now()) - now;
        if (offset - state.offset).abs() < STEP {
            return Reading { now, offset };
        }
        let tick = clock::now();
        let mut next = State { tick, moment: state.at(tick), up: uptime(), offset: 0 };
        if let (Some(before), Some(up)) = (state.up, next.up) {
            // Ticks do not count while the machine sleeps.
            let slept = up.saturating_sub(before).saturating_sub(tick.since(state.tick));
            let slept = i64::try_from(slept.as_micros()).unwrap_or(0);
            next.moment += if slept >= STEP { slept } else { 0 };
        }
        next.offset = signed(moment::now()) - next.moment;
        let reading = Reading { now: next.moment, offset: next.offset };
        *state = next;
        reading
    }
}

impl Default for StoreClock {
    /// A clock that starts at the current wall-clock time.
    fn default() -> Self {
        Self::new(moment::now())
    }
}

impl State {
    fn new(moment: i64) -> Self {
        let offset = signed(moment::now()) - moment;
        Self { tick: clock::now(), moment, up: uptime(), offset }
    }

    fn at(&self, tick: Tick) -> i64 {
        let passed = tick.since(self.tick).as_micros();
        self.moment.saturating_add(i64::try_from(passed).unwrap_or(LATEST))
    }
}

impl Reading {
    /// The current time, to compare with times that [`Reading::from_wall`] converted.
    pub(super) fn now(self) -> SystemTime {
        let small_offset = if self.offset.abs() < TOLERANCE { self.offset } else { 0 };
        moment(self.now.saturating_add(small_offset))
    }

    /// Converts a wall-clock time to the clock of the store.
    pub(super) fn from_wall(self, wall: SystemTime) -> SystemTime {
        shift(wall, -self.large_offset())
    }

    /// As [`Reading::from_wall`], but also below [`TOLERANCE`]: for leases, which several processes compare.
    pub(super) fn lease_from_wall(self, wall: SystemTime) -> SystemTime {
        shift(wall, -self.offset)
    }

    /// Converts the times of an entry that enters the store. An entry that is dated ahead is dated back to now.
    pub(super) fn entry_from_wall(self, entry: &mut Entry) {
        let ahead = signed(entry.last_failed) - self.large_offset() - self.now;
        let ahead = if ahead > TOLERANCE { ahead } else { 0 };
        shift_entry(entry, -self.large_offset() - ahead);
    }

    /// Converts the times of an entry that leaves the store.
    pub(super) fn entry_to_wall(self, entry: &mut Entry) {
        shift_entry(entry, self.large_offset());
    }

    /// Converts a time of the store to the wall clock.
    pub(super) fn to_wall(self, moment: SystemTime) -> SystemTime {
        shift(moment, self.large_offset())
    }

    /// How far the wall clock is ahead, or 0 below [`TOLERANCE`].
    fn large_offset(self) -> i64 {
        if self.offset.abs() < TOLERANCE { 0 } else { self.offset }
    }
}

fn shift_entry(entry: &mut Entry, by: i64) {
    if by != 0 {
        entry.first_failed = shift(entry.first_failed, by);
        entry.last_failed = shift(entry.last_failed, by);
        entry.due = entry.due.map(|due| shift(due, by));
        entry.expires = entry.expires.map(|expires| shift(expires, by));
    }
}

fn shift(at: SystemTime, by: i64) -> SystemTime {
    match signed(at) {
        // Never stays never.
        LATEST => at,
        at => moment(at.saturating_add(by)),
    }
}

fn signed(moment: SystemTime) -> i64 {
    i64::try_from(micros(moment)).unwrap_or(LATEST)
}

fn moment(micros: i64) -> SystemTime {
    from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The uptime of the machine, sleep included.
#[cfg(all(target_os = "linux", feature = "sqlite"))]
#[allow(clippy::unnecessary_wraps)] // Elsewhere there is none.
pub(super) fn uptime() -> Option<Duration> {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(up).ok()
}

/// The uptime of the machine, which is not known on this platform.
#[cfg(not(all(target_os = "linux", feature = "sqlite")))]
pub(super) fn uptime() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn times_are_not_converted_below_the_tolerance() {
        for offset in [0, 1, -TOLERANCE + 1, TOLERANCE - 1] {
            let reading = Reading { now: NOW, offset };
            assert_eq!(reading.from_wall(moment(NOW)), moment(NOW));
            assert_eq!(reading.to_wall(moment(NOW)), moment(NOW));
            assert_eq!(reading.now(), moment(NOW + offset));
            assert_eq!(reading.lease_from_wall(moment(NOW + offset)), moment(NOW));
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_removed_and_restored() {
        // By an hour, by thirty days, to 1970 and to 2106.
        for offset in [HOUR, -HOUR, 720 * HOUR, -720 * HOUR, -NOW, 4_294_967_295_000_000 - NOW] {
            let reading = Reading { now: NOW, offset };
            assert_eq!(reading.from_wall(moment(NOW + offset)), moment(NOW), "{offset}");
            assert_eq!(
                reading.to_wall(reading.from_wall(moment(NOW + offset))),
                moment(NOW + offset),
                "{offset}"
            );
            assert_eq!(reading.now(), moment(NOW));
        }
        let reading = Reading { now: NOW, offset: HOUR };
        assert_eq!(reading.from_wall(moment(LATEST)), moment(LATEST), "never stays never");
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_a_paused_clock() {
        let clock = StoreClock::default();
        let before = clock.read().now();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        let passed = clock.read().now().duration_since(before).unwrap();
        assert!(passed.abs_diff(Duration::from_secs(86_400)) < Duration::from_millis(1), "{passed:?}");
    }
}
