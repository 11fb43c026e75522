//! Reasons, what each costs, and what is left in the end.

use super::reason::{Reason, ReasonKind};
use super::score::{WHOLE, score};
use super::snapshot::shares;

/// At this multiple of its limit, a figure costs its whole weight.
const FULL_AT: f64 = 5.0;

/// Reasons with what each would cost alone.
pub(super) struct Ledger {
    /// What a figure at its limit costs: just enough to be healthy no more.
    pub(super) at_limit: f64,
    pub(super) entries: Vec<(u32, Reason)>,
}

impl Ledger {
    /// Enters a figure that has a limit.
    ///
    /// Up to half the limit it costs nothing, from there to the limit ever more, at the limit what ends
    /// `Healthy`, and at five times the limit its whole weight.
    pub(super) fn figure(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        weight: f64,
        text: impl FnOnce() -> String,
    ) {
        self.ratio(kind, figure, limit, figure / limit, weight, text);
    }

    /// The same for a figure whose limit is reached at a `ratio` of 1, and half of it at one of 0.5.
    pub(super) fn ratio(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        ratio: f64,
        weight: f64,
        text: impl FnOnce() -> String,
    ) {
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

    pub(super) fn enter(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        weight: f64,
        cost: f64,
        text: String,
    ) {
        self.enter_points(kind, figure, limit, weight, ceil(cost), || text);
    }

    /// Enters reasons that tend to have one cause: together they cost what the weightiest of them would alone.
    pub(super) fn together(&mut self, reasons: Vec<Reason>) {
        let weights: Vec<f64> = reasons.iter().map(|reason| reason.weight).collect();
        let whole = ceil(weights.iter().copied().fold(0.0, f64::max));
        let points = shares(&weights, &vec![whole; weights.len()]);
        self.entries.extend(points.into_iter().zip(reasons).filter(|(points, _)| *points > 0));
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
    pub(super) fn close(mut self) -> (u32, Vec<Reason>) {
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
