//! A pair of readings of the monotonic and the wall clock.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use crate::base::clock::Tick;

thread_local! {
    static LAST: Cell<Option<ClockPair>> = const { Cell::new(None) };
}

/// One moment on both clocks.
///
/// The spans of a trace share one, so that their times are consistent to the nanosecond.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct ClockPair {
    tick: Tick,
    wall: SystemTime,
}

impl ClockPair {
    /// After this time the clocks may differ: the machine was suspended, or the time was set.
    const GOOD_FOR: Duration = Duration::from_secs(3_600);

    /// Traces of one thread that start within this time share one, since reading the wall clock costs as much as a span.
    const SHARED_FOR: Duration = Duration::from_millis(10);

    fn new(tick: Tick) -> Self {
        let last = LAST.try_with(Cell::get).ok().flatten();
        match last {
            Some(last) if tick >= last.tick && tick.since(last.tick) < Self::SHARED_FOR => last,
            _ => {
                let clocks = Self { tick, wall: SystemTime::now() };
                let _ = LAST.try_with(|last| last.set(Some(clocks)));
                clocks
            }
        }
    }

    /// Returns `clocks`, if it is recent enough at `now`, otherwise a new one.
    pub(in crate::telemetry) fn or_new(clocks: Option<Self>, now: Tick) -> Self {
        match clocks {
            Some(clocks) if now.since(clocks.tick) < Self::GOOD_FOR => clocks,
            _ => Self::new(now),
        }
    }

    pub(in crate::telemetry) fn wall(&self, at: Tick) -> SystemTime {
        if at >= self.tick {
            self.wall + at.since(self.tick)
        } else {
            self.wall.checked_sub(self.tick.since(at)).unwrap_or(self.wall)
        }
    }
}
