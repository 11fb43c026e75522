//! The reasons why a component loses points, and the cost of each.

use super::points::{WHOLE, score, shares};
use super::reason::{Reason, ReasonKind};

/// At this multiple of its limit, a figure costs its whole weight.
const FULL_AT: f64 = 5.0;

/// Reasons, with the points that each would cost alone.
pub(super) struct Ledger {
    /// The cost of a figure at its limit: just enough to end `Healthy`.
    at_limit: f64,
    entries: Vec<(u32, Reason)>,
}

impl Ledger {
    pub(super) fn new(at_limit: f64) -> Self {
        Self { at_limit, entries: Vec::new() }
    }

    /// Enters a figure that has a limit.
    ///
    /// Up to half the limit the figure costs nothing. From there the cost grows: at the limit it just ends `Healthy`, at
    /// five times the limit it is the whole weight.
    pub(super) fn enter_figure(
        &mut self,
        kind: ReasonKind,
        figure: f64,
        limit: f64,
        weight: f64,
        text: impl FnOnce() -> String,
    ) {
        self.enter_ratio(kind, figure, limit, figure / limit, weight, text);
    }

    /// Enters a figure whose cost follows from `ratio`, which is 1 at the limit.
    pub(super) fn enter_ratio(
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
        // Rounded down below the limit and up above it, so that rounding never moves a figure across the limit.
        let cost = if ratio < 1.0 { floor(cost) } else { ceil(cost) };
        self.enter_points(kind, figure, limit, weight, cost, text);
    }

    /// Enters a reason of a known cost.
    pub(super) fn enter_cost(
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

    /// Enters reasons that are likely to have one cause: together they cost as much as the one of the largest weight.
    pub(super) fn enter_group(&mut self, reasons: Vec<Reason>) {
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

    /// Returns the points left, and the reasons, the most expensive first.
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
