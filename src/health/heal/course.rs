//! When a healing may begin: a calculation, without clock or task.

use std::time::Duration;

use super::hour::Hour;
use super::record::Withheld;
use super::settings::HealingSettings;
use crate::base::clock::Tick;

/// How a healing has gone so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// For how long what calls for it has been there at each look.
    held: Option<Duration>,
    /// For how long it has not.
    well: Duration,
    began: Hour,
    running: bool,
    /// When the wait after the last action is over.
    not_before: Option<Tick>,
    /// That wait.
    drawn: Duration,
    /// Actions that did not help since it was last well for long: how far the wait has grown.
    grown: u32,
    /// Of these, those since the last that helped.
    in_a_row: u32,
    escalated: bool,
    /// Why it was not begun when it was called for last.
    withheld: Option<Withheld>,
}

impl Course {
    /// A look at the component; tells whether the healing is called for. `ran` is the time since the last look in which
    /// this process ran: no other has been seen.
    pub(super) fn look(
        &mut self,
        holds: bool,
        for_at_least: Duration,
        ran: Duration,
        settings: &HealingSettings,
    ) -> bool {
        if holds {
            self.well = Duration::ZERO;
            let held = self.held.map_or(Duration::ZERO, |held| held.saturating_add(ran));
            self.held = Some(held);
            return held >= for_at_least;
        }
        self.withheld = None;
        // From the first look that found it well.
        self.well = if self.held.take().is_some() { Duration::ZERO } else { self.well.saturating_add(ran) };
        if !self.running && self.well >= settings.well_after {
            (self.grown, self.in_a_row, self.escalated) = (0, 0, false);
            (self.not_before, self.drawn) = (None, Duration::ZERO);
        }
        false
    }

    /// Whether it may begin, as far as it alone is concerned.
    pub(super) fn may_begin(&mut self, now: Tick, settings: &HealingSettings) -> Result<(), Withheld> {
        if self.running {
            return Err(Withheld::Running);
        }
        if self.began.is_full(now, settings.at_most_per_hour) {
            return Err(Withheld::HourlyLimit);
        }
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Err(Withheld::Backoff);
        }
        Ok(())
    }

    /// It began so long before `now` in an earlier process.
    pub(super) fn recall(&mut self, now: Tick, ages: &[Duration]) {
        self.began.recall(now, ages);
    }

    pub(super) fn begin(&mut self, now: Tick) {
        self.began.begin(now);
        self.running = true;
        self.withheld = None;
    }

    /// What came of the action is known; `draw`, in 0..1, is the chance in the wait. Tells whether it is time to
    /// escalate.
    pub(super) fn judge(&mut self, helped: bool, now: Tick, draw: f64, settings: &HealingSettings) -> bool {
        if helped {
            self.in_a_row = 0;
        } else {
            self.grown = self.grown.saturating_add(1);
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.drawn = settings.backoff.delay_with(self.grown.saturating_sub(1), self.drawn, draw);
        self.not_before = Some(now + self.drawn);
        self.in_a_row >= settings.escalate_after && self.escalate()
    }

    /// Nothing of the action is left.
    pub(super) fn end(&mut self) {
        self.running = false;
    }

    /// Whether this is the first time since it was well.
    pub(super) fn escalate(&mut self) -> bool {
        !std::mem::replace(&mut self.escalated, true)
    }

    /// It was called for and did not begin; tells whether that is news.
    pub(super) fn withhold(&mut self, withheld: Withheld) -> bool {
        self.withheld.replace(withheld) != Some(withheld)
    }

    pub(super) fn status(&mut self, paused: bool, now: Tick, settings: &HealingSettings) -> HealingStatus {
        let wait = self.not_before.map_or(Duration::ZERO, |not_before| not_before.since(now));
        HealingStatus {
            called_for: self.held.is_some(),
            running: self.running,
            paused,
            begun_in_the_last_hour: self.began.count(now),
            may_begin_in: wait.max(self.began.room_in(now, settings.at_most_per_hour)),
            not_helped_in_a_row: self.in_a_row,
            escalated: self.escalated,
            withheld: self.withheld,
        }
    }
}

/// How a healing stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HealingStatus {
    /// Whether what calls for it was there at the last look, be it long enough or not.
    pub called_for: bool,
    /// Whether it runs, or looks whether it helped.
    pub running: bool,
    /// Whether somebody paused it.
    pub paused: bool,
    /// How often it began within the last 3,600 seconds.
    pub begun_in_the_last_hour: u32,
    /// How long until its wait is over and its hour has room.
    #[serde(with = "crate::base::duration")]
    pub may_begin_in: Duration,
    /// Actions that did not help since the last that did, or since it was well for long.
    pub not_helped_in_a_row: u32,
    /// Whether it was escalated, and has not been well for long since.
    pub escalated: bool,
    /// Why it did not begin when it was called for last.
    pub withheld: Option<Withheld>,
}
