//! The script of faults.

use std::time::Duration;

/// What `payments` does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Answers within a few milliseconds.
    Healthy,
    /// Answers most calls with 503.
    Unavailable,
    /// Answers late.
    Slow,
    /// Takes calls and never answers.
    Hanging,
    /// Takes no connections.
    Refusing,
}

impl Act {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Healthy => "payments is healthy",
            Self::Unavailable => "payments answers 503",
            Self::Slow => "payments is slow",
            Self::Hanging => "payments hangs",
            Self::Refusing => "payments refuses connections",
        }
    }
}

/// The acts, each with the share of the time at which it ends.
const ACTS: [(f64, Act); 8] = [
    (0.18, Act::Healthy),
    (0.30, Act::Unavailable),
    (0.42, Act::Healthy),
    (0.52, Act::Slow),
    (0.60, Act::Healthy),
    (0.68, Act::Hanging),
    (0.78, Act::Refusing),
    (1.00, Act::Healthy),
];

/// The acts with the time at which each begins, over `total`.
pub(crate) fn schedule(total: Duration) -> impl Iterator<Item = (Duration, Act)> {
    let mut begins = 0.0;
    ACTS.into_iter().map(move |(ends, act)| {
        let at = total.mul_f64(begins);
        begins = ends;
        (at, act)
    })
}
