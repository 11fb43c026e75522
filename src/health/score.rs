//! From what is known about one component to its score.
//!
//! Costs are counted in whole 1/1024ths, which a float holds exactly: what the reasons say adds up to what the
//! score lost, to the last bit.

use std::time::Duration;

use super::reason::{Reason, ReasonKind};
use super::settings::HealthSettings;
use super::status::Status;
use crate::signal::{BreakerSign, LOOK_BACK, Sign, VitalReading};

/// All the points there are.
pub(super) const WHOLE: u32 = 1_024;
/// At this multiple of its limit, a figure costs its whole weight.
const FULL_AT: f64 = 5.0;

/// What is known about one component.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) vital: Option<VitalReading>,
    /// Circuits of that name by state.
    pub(super) open: u32,
    pub(super) forced_open: u32,
    pub(super) half_open: u32,
    /// How many letters wait, and the age of the oldest.
    pub(super) letters: Option<(u64, Duration)>,
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) status: Status,
    /// Points left, of [`WHOLE`].
    pub(super) points: u32,
    pub(super) reasons: Vec<Reason>,
}

/// Points as a score or a cost.
pub(super) fn score(points: u32) -> f64 {
    f64::from(points) / f64::from(WHOLE)
}

impl Evidence {
    pub(super) fn add(&mut self, sign: Sign) {
        match sign {
            Sign::Breaker(BreakerSign::Closed) => {}
            Sign::Breaker(BreakerSign::HalfOpen) => self.half_open += 1,
            Sign::Breaker(BreakerSign::Open) => self.open += 1,
            Sign::Breaker(BreakerSign::ForcedOpen) => self.forced_open += 1,
            Sign::Letters { waiting, oldest } => {
                let (sum, age) = self.letters.get_or_insert_default();
                *sum += waiting;
                *age = (*age).max(oldest);
            }
        }
    }

    pub(super) fn judge(&self, settings: &HealthSettings) -> Verdict {
        let mut ledger = Ledger { at_limit: 1.0 - settings.thresholds.healthy, entries: Vec::new() };
        let mut known = self.letters.is_some();
        if let Some(vital) = &self.vital {
            known |= vital.recent.calls >= settings.minimum_calls;
            ledger.vital(vital, settings);
        }
        ledger.circuits(self, settings);
        if let Some((waiting, oldest)) = self.letters {
            ledger.letters(waiting, oldest, settings);
        }
        let (points, reasons) = ledger.close();
        known |= !reasons.is_empty();
        let status = if known { settings.thresholds.status(score(points)) } else { Status::Unknown };
        Verdict { status, points, reasons }
    }
}

/// Reasons with what each would cost alone.
struct Ledger {
    /// What a figure at its limit costs: just enough to be healthy no more.
    at_limit: f64,
    entries: Vec<(u32, Reason)>,
}

impl Ledger {
    fn vital(&mut self, vital: &VitalReading, settings: &HealthSettings) {
        let weights = &settings.weights;
        let recent = &vital.recent;
        let minute = LOOK_BACK.as_secs();
        if recent.calls >= settings.minimum_calls {
            let (share, limit) = (recent.failure_rate(), settings.error_share);
            self.figure(ReasonKind::ErrorShare, share, limit, weights.error_share, || {
                format!(
                    "{:.1} % of the calls of the last {minute} s failed ({} of {}); the limit is {:.1} %",
                    share * 100.0,
                    recent.failures,
                    recent.calls,
                    limit * 100.0
                )
            });
            let (mean, limit) = (vital.recent_mean, settings.mean_duration);
            let (figure, most) = (mean.as_secs_f64(), limit.as_secs_f64());
            self.figure(ReasonKind::MeanDuration, figure, most, weights.mean_duration, || {
                format!("calls of the last {minute} s took {mean:.1?} on average; the limit is {limit:?}")
            });
        }
        // A component that nobody calls any more is not held to its last failures: as long as they kept a
        // service from being ready, no call would come to clear them.
        if recent.calls > 0 {
            let (failures, limit) = (vital.consecutive_failures, settings.consecutive_failures);
            let (figure, most) = (count(failures), count(limit));
            self.figure(ReasonKind::ConsecutiveFailures, figure, most, weights.consecutive_failures, || {
                format!("the last {failures} calls failed; the limit is {limit}")
            });
        }
    }

    fn circuits(&mut self, evidence: &Evidence, settings: &HealthSettings) {
        let weights = &settings.weights;
        let states = [
            (
                ReasonKind::CircuitForcedOpen,
                evidence.forced_open,
                weights.circuit_open,
                "an operator forced the circuit open",
            ),
            (
                ReasonKind::CircuitOpen,
                evidence.open,
                weights.circuit_open,
                "the circuit is open: calls are refused",
            ),
            (
                ReasonKind::CircuitHalfOpen,
                evidence.half_open,
                weights.circuit_half_open,
                "the circuit is half-open: a few calls try whether it may close",
            ),
        ];
        // Circuits that share a name speak for one component: the worst one counts.
        if let Some((kind, number, weight, text)) = states.into_iter().find(|(_, number, ..)| *number > 0) {
            self.enter(kind, f64::from(number), 0.0, weight, weight, text.to_owned());
        }
    }

    fn letters(&mut self, waiting: u64, oldest: Duration, settings: &HealthSettings) {
        let weights = &settings.weights;
        let limit = settings.letters;
        self.figure(ReasonKind::Letters, count(waiting), count(limit), weights.letters, || {
            format!("{waiting} dead letters wait; the limit is {limit}")
        });
        if waiting > 0 {
            let limit = settings.oldest_letter;
            let (figure, most) = (oldest.as_secs_f64(), limit.as_secs_f64());
            self.figure(ReasonKind::OldestLetter, figure, most, weights.oldest_letter, || {
                let oldest = Duration::from_secs(oldest.as_secs());
                format!(
                    "the oldest dead letter has waited for {}; the limit is {}",
                    humantime::format_duration(oldest),
                    humantime::format_duration(limit)
                )
            });
        }
    }

    /// Enters a figure that has a limit.
    ///
    /// Up to half the limit it costs nothing, from there to the limit ever more, at the limit what ends
    /// `Healthy`, and at five times the limit its whole weight.
    fn figure(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        weight: f64,
        text: impl FnOnce() -> String,
    ) {
        let ratio = figure / limit;
        let at_limit = self.at_limit.min(weight);
        let cost = if ratio < 1.0 {
            at_limit * (2.0 * ratio - 1.0).max(0.0)
        } else {
            at_limit + (weight - at_limit) * ((ratio - 1.0) / (FULL_AT - 1.0)).min(1.0)
        };
        // Rounded towards healthy below the limit, away from it above.
        let cost = if ratio < 1.0 { floor(cost) } else { ceil(cost) };
        self.enter_points(kind, figure, limit, weight, cost, text);
    }

    fn enter(&mut self, kind: ReasonKind, figure: f64, limit: f64, weight: f64, cost: f64, text: String) {
        self.enter_points(kind, figure, limit, weight, ceil(cost), || text);
    }

    fn enter_points(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        weight: f64,
        points: u32,
        text: impl FnOnce() -> String,
    ) {
        if points > 0 {
            self.entries.push((points, Reason { kind, figure, limit, weight, cost: 0.0, text: text() }));
        }
    }

    /// The points left, and the reasons, the dearest first.
    fn close(mut self) -> (u32, Vec<Reason>) {
        self.entries.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
        let mut left = WHOLE;
        let reasons = self
            .entries
            .into_iter()
            .map(|(points, reason)| {
                let cost = points.min(left);
                left -= cost;
                Reason { cost: score(cost), ..reason }
            })
            .collect();
        (left, reasons)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1,024; `as` saturates.
fn floor(cost: f64) -> u32 {
    ((cost * f64::from(WHOLE)).floor() as u32).min(WHOLE)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1,024; `as` saturates.
fn ceil(cost: f64) -> u32 {
    ((cost * f64::from(WHOLE)).ceil() as u32).min(WHOLE)
}

#[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
fn count(value: u64) -> f64 {
    value as f64
}
