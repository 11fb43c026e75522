//! The script of faults.

use std::time::Duration;

/// How `payments` behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Answers within a few milliseconds.
    Healthy,
    /// Answers most calls with 503.
    Unavailable,
    /// Answers slowly.
    Slow,
    /// Accepts calls and never answers.
    Hanging,
    /// Refuses connections.
    Refusing,
}

impl Behavior {
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Healthy => "payments is healthy",
            Self::Unavailable => "payments answers 503",
            Self::Slow => "payments is slow",
            Self::Hanging => "payments hangs",
            Self::Refusing => "payments refuses connections",
        }
    }
}

/// The phases: the share of the time at which each ends, and the behavior.
const PHASES: [(f64, Behavior); 8] = [
    (0.18, Behavior::Healthy),
    (0.30, Behavior::Unavailable),
    (0.42, Behavior::Healthy),
    (0.52, Behavior::Slow),
    (0.60, Behavior::Healthy),
    (0.68, Behavior::Hanging),
    (0.78, Behavior::Refusing),
    (1.00, Behavior::Healthy),
];

/// The start of each phase within `total`, and its behavior.
pub(crate) fn schedule(total: Duration) -> impl Iterator<Item = (Duration, Behavior)> {
    let mut begins = 0.0;
    PHASES.into_iter().map(move |(ends, behavior)| {
        let at = total.mul_f64(begins);
        begins = ends;
        (at, behavior)
    })
}
