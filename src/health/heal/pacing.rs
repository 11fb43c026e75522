//! When a healing may start: a calculation, without clock or task.

use std::time::Duration;

use super::record::Withheld;
use super::rolling_hour::RollingHour;
use super::settings::HealingSettings;
use super::status::HealingStatus;
use crate::base::clock::Tick;

/// The history of a healing, as far as its limits need it.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// For each round, how long the condition has held.
    held_for: Option<Duration>,
    /// How long it has not held.
    well_for: Duration,
    starts: RollingHour,
    running: bool,
    /// The end of the backoff after the last action.
    not_before: Option<Tick>,
    /// That backoff.
    last_backoff: Duration,
    /// Actions that did not help since the component was last well for long. The backoff grows with it.
    backoff_steps: u32,
    /// Of these, those since the last action that helped.
    not_helped_in_a_row: u32,
    escalated: bool,
    /// Why it did not start when its condition held last.
    withheld: Option<Withheld>,
}

impl Pacing {
    /// Records a round. Returns whether the condition has held long enough. `ran` is the time since the last round in
    /// which this process ran: other time does not count.
    pub(super) fn observe(
        &mut self,
        holds: bool,
        for_at_least: Duration,
        ran: Duration,
        settings: &HealingSettings,
    ) -> bool {
        if holds {
            self.well_for = Duration::ZERO;
            let held_for = self.held_for.map_or(Duration::ZERO, |held_for| held_for.saturating_add(ran));
            self.held_for = Some(held_for);
            return held_for >= for_at_least;
        }
        self.withheld = None;
        // Counts from the first round in which the condition did not hold.
        self.well_for =
            if self.held_for.take().is_some() { Duration::ZERO } else { self.well_for.saturating_add(ran) };
        if !self.running && self.well_for >= settings.well_after {
            (self.backoff_steps, self.not_helped_in_a_row, self.escalated) = (0, 0, false);
            (self.not_before, self.last_backoff) = (None, Duration::ZERO);
        }
        false
    }

    /// Whether the limits of this healing allow a start.
    pub(super) fn may_start(&mut self, now: Tick, settings: &HealingSettings) -> Result<(), Withheld> {
        if self.running {
            return Err(Withheld::Running);
        }
        if self.starts.is_full(now, settings.at_most_per_hour) {
            return Err(Withheld::HourlyLimit);
        }
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Err(Withheld::Backoff);
        }
        Ok(())
    }

    /// Adds the starts of earlier processes, by their ages.
    pub(super) fn restore(&mut self, now: Tick, ages: &[Duration]) {
        self.starts.restore(now, ages);
    }

    pub(super) fn start(&mut self, now: Tick) {
        self.starts.add(now);
        self.running = true;
        self.withheld = None;
    }

    /// Records whether the action helped. `random`, in 0..1, is the jitter of the backoff. Returns whether to escalate.
    pub(super) fn record(
        &mut self,
        helped: bool,
        now: Tick,
        random: f64,
        settings: &HealingSettings,
    ) -> bool {
        if helped {
            self.not_helped_in_a_row = 0;
        } else {
            self.backoff_steps = self.backoff_steps.saturating_add(1);
            self.not_helped_in_a_row = self.not_helped_in_a_row.saturating_add(1);
        }
        let step = self.backoff_steps.saturating_sub(1);
        self.last_backoff = settings.backoff.delay_with(step, self.last_backoff, random);
        self.not_before = Some(now + self.last_backoff);
        self.not_helped_in_a_row >= settings.escalate_after && self.escalate()
    }

    /// Records that the action and what it left running have ended.
    pub(super) fn end(&mut self) {
        self.running = false;
    }

    /// Marks the healing as escalated. Returns whether it was not before.
    pub(super) fn escalate(&mut self) -> bool {
        !std::mem::replace(&mut self.escalated, true)
    }

    /// Records why the healing did not start. Returns whether the reason is new.
    pub(super) fn withhold(&mut self, withheld: Withheld) -> bool {
        self.withheld.replace(withheld) != Some(withheld)
    }

    pub(super) fn status(&mut self, paused: bool, now: Tick, settings: &HealingSettings) -> HealingStatus {
        let backoff = self.not_before.map_or(Duration::ZERO, |not_before| not_before.since(now));
        HealingStatus {
            called_for: self.held_for.is_some(),
            running: self.running,
            paused,
            begun_in_the_last_hour: self.starts.count(now),
            may_begin_in: backoff.max(self.starts.room_in(now, settings.at_most_per_hour)),
            not_helped_in_a_row: self.not_helped_in_a_row,
            escalated: self.escalated,
            withheld: self.withheld,
        }
    }
}
