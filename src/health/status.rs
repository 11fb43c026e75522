use std::fmt;

use serde::{Deserialize, Serialize};

/// How a component, or the whole, is doing.
///
/// The order is that of badness: `Unknown < Healthy < Degraded < Unhealthy < Critical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Too little is known to say anything.
    Unknown,
    /// Every figure is within its limit.
    Healthy,
    /// It works, and something is at its limit.
    Degraded,
    /// It works badly, or not for everybody.
    Unhealthy,
    /// As good as not working.
    Critical,
}

impl Status {
    pub(super) const ALL: [Self; 5] =
        [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unhealthy, Self::Critical];

    /// The status in one word, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Critical => "critical",
        }
    }

    /// Whether it does not do its work: unhealthy or critical.
    #[must_use]
    pub fn is_failing(self) -> bool {
        self >= Self::Unhealthy
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
