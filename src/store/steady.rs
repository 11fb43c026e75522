//! Time that no step of the wall clock moves.
//!
//! Letters are dated by the wall clock, which people and other machines know. It may be set, by an hour or by years,
//! while letters wait, and two machines may differ as much. So what is decided by time goes by a clock of the store:
//! when a lease ends, when a letter is due, of what age it is, when it expires, in which minute a failure counts. That
//! clock only runs on. Moments are translated where they come in and where they go out.
//!
//! As long as both clocks are less than a minute apart, a moment stays as it is: what was put comes back as it was.

use std::time::{Duration, SystemTime};

use super::Entry;
use crate::base::clock::{self, Tick};
use crate::base::moment::{self, from_micros, micros};
use crate::base::sync::Mutex;

/// Clocks that are less than this apart are taken for one, in microseconds.
const SLACK: i64 = 60_000_000;

/// A change of the distance that says that the wall clock was set, or that the machine slept, in microseconds.
const SET: i64 = 1_000_000;

/// The latest moment that a store can keep.
const LATEST: i64 = i64::MAX;

/// The clock of a store.
#[derive(Debug)]
pub(super) struct Steady(Mutex<State>);

#[derive(Debug)]
struct State {
    tick: Tick,
    /// What this clock said at that tick.
    moment: i64,
    /// How long the machine had been up then, sleep included, where that is known.
    up: Option<Duration>,
    /// How far the wall clock was ahead when that was looked at last.
    apart: i64,
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Microseconds since 1970 by the clock of the store.
    now: i64,
    /// How far the wall clock is ahead.
    apart: i64,
}

impl Steady {
    /// A clock that says `moment` now.
    pub(super) fn new(moment: SystemTime) -> Self {
        Self(Mutex::new(State::new(signed(moment))))
    }

    /// Sets it.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(super) fn set(&self, moment: SystemTime) {
        *self.0.lock() = State::new(signed(moment));
    }

    /// Reads both clocks.
    pub(super) fn read(&self) -> Reading {
        let mut state = self.0.lock();
        let now = state.at(clock::now());
        let apart = signed(moment::now()) - now;
        if (apart - state.apart).abs() < SET {
            return Reading { now, apart };
        }
        let tick = clock::now();
        let mut next = State { tick, moment: state.at(tick), up: uptime(), apart: 0 };
        if let (Some(before), Some(up)) = (state.up, next.up) {
            // The ticks of a machine that sleeps stand still.
            let slept = up.saturating_sub(before).saturating_sub(tick.since(state.tick));
            let slept = i64::try_from(slept.as_micros()).unwrap_or(0);
            next.moment += if slept >= SET { slept } else { 0 };
        }
        next.apart = signed(moment::now()) - next.moment;
        let reading = Reading { now: next.moment, apart: next.apart };
        *state = next;
        reading
    }
}

impl Default for Steady {
    /// A clock that goes by the wall clock of this moment.
    fn default() -> Self {
        Self::new(moment::now())
    }
}

impl State {
    fn new(moment: i64) -> Self {
        let apart = signed(moment::now()) - moment;
        Self { tick: clock::now(), moment, up: uptime(), apart }
    }

    fn at(&self, tick: Tick) -> i64 {
        let passed = tick.since(self.tick).as_micros();
        self.moment.saturating_add(i64::try_from(passed).unwrap_or(LATEST))
    }
}

impl Reading {
    /// Now, for moments that were translated by [`Reading::of`].
    pub(super) fn now(self) -> SystemTime {
        moment(self.now.saturating_add(self.near()))
    }

    /// What `wall`, by the wall clock, is by the clock of the store.
    pub(super) fn of(self, wall: SystemTime) -> SystemTime {
        shift(wall, -self.step())
    }

    /// The same to the microsecond, however little both are apart: for leases.
    pub(super) fn exactly(self, wall: SystemTime) -> SystemTime {
        shift(wall, -self.apart)
    }

    /// Translates the moments of an entry that comes in. One that is dated ahead came no later than now.
    pub(super) fn arrive(self, entry: &mut Entry) {
        let ahead = signed(entry.last_failed) - self.step() - self.now;
        let ahead = if ahead > SLACK { ahead } else { 0 };
        each(entry, -self.step() - ahead);
    }

    /// Translates the moments of an entry that goes out.
    pub(super) fn depart(self, entry: &mut Entry) {
        each(entry, self.step());
    }

    /// What a moment of this store is by the wall clock.
    pub(super) fn wall(self, moment: SystemTime) -> SystemTime {
        shift(moment, self.step())
    }

    /// How far the wall clock is ahead, if it is not about the same.
    fn step(self) -> i64 {
        if self.apart.abs() < SLACK { 0 } else { self.apart }
    }

    /// How far it is ahead, if it is about the same.
    fn near(self) -> i64 {
        if self.apart.abs() < SLACK { self.apart } else { 0 }
    }
}

fn each(entry: &mut Entry, by: i64) {
    if by != 0 {
        entry.first_failed = shift(entry.first_failed, by);
        entry.last_failed = shift(entry.last_failed, by);
        entry.due = entry.due.map(|due| shift(due, by));
        entry.expires = entry.expires.map(|expires| shift(expires, by));
    }
}

fn shift(at: SystemTime, by: i64) -> SystemTime {
    match signed(at) {
        // As late as can be told stays so.
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

/// How long the machine has been up, sleep included, where that can be told.
#[cfg(all(target_os = "linux", feature = "sqlite"))]
#[allow(clippy::unnecessary_wraps)] // Elsewhere there is none.
pub(super) fn uptime() -> Option<Duration> {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(up).ok()
}

/// How long the machine has been up, sleep included, where that can be told.
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
    fn clocks_about_the_same_leave_moments_as_they_are() {
        for apart in [0, 1, -SLACK + 1, SLACK - 1] {
            let reading = Reading { now: NOW, apart };
            assert_eq!(reading.of(moment(NOW)), moment(NOW));
            assert_eq!(reading.wall(moment(NOW)), moment(NOW));
            assert_eq!(reading.now(), moment(NOW + apart));
            assert_eq!(reading.exactly(moment(NOW + apart)), moment(NOW));
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_taken_out_and_put_back() {
        // By an hour, by thirty days, to 1970 and to 2106.
        for apart in [HOUR, -HOUR, 720 * HOUR, -720 * HOUR, -NOW, 4_294_967_295_000_000 - NOW] {
            let reading = Reading { now: NOW, apart };
            assert_eq!(reading.of(moment(NOW + apart)), moment(NOW), "{apart}");
            assert_eq!(reading.wall(reading.of(moment(NOW + apart))), moment(NOW + apart), "{apart}");
            assert_eq!(reading.now(), moment(NOW));
        }
        let reading = Reading { now: NOW, apart: HOUR };
        assert_eq!(reading.of(moment(LATEST)), moment(LATEST), "never stays never");
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_a_paused_clock() {
        let steady = Steady::default();
        let before = steady.read().now();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        let passed = steady.read().now().duration_since(before).unwrap();
        assert!(passed.abs_diff(Duration::from_secs(86_400)) < Duration::from_millis(1), "{passed:?}");
    }
}
