use serde::{Deserialize, Serialize};

words! {
    /// How a component, or the whole, is doing.
    ///
    /// The order is that of badness: `Unknown < Healthy < Degraded < Unhealthy < Critical`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Status {
        /// Too little is known to say anything.
        Unknown = "unknown",
        /// Every figure is within its limit.
        Healthy = "healthy",
        /// It works, and something is at its limit.
        Degraded = "degraded",
        /// It works badly, or not for everybody.
        Unhealthy = "unhealthy",
        /// As good as not working.
        Critical = "critical",
    }
    /// The status in one word, in lower case.
    pub as_str;
    pub(super) ALL;
}

impl Status {
    /// Whether it does not do its work: unhealthy or critical.
    #[must_use]
    pub fn is_failing(self) -> bool {
        self >= Self::Unhealthy
    }
}
