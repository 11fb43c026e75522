use serde::{Deserialize, Serialize};

words! {
    /// The status of a component, or of the whole process. `Display` writes it in lower case.
    ///
    /// A worse status is greater: `Unknown < Healthy < Degraded < Unhealthy < Critical`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Status {
        /// Too little is known.
        Unknown = "unknown",
        /// Every figure is within its limit.
        Healthy = "healthy",
        /// It works, but a figure is at its limit.
        Degraded = "degraded",
        /// Many of its calls fail, or its circuit is open.
        Unhealthy = "unhealthy",
        /// It does not work.
        Critical = "critical",
    }
    /// The status in one word, in lower case.
    pub(crate) as_str;
    pub(super) ALL;
}

impl Status {
    /// Whether it is unhealthy or critical.
    pub(crate) fn is_failing(self) -> bool {
        self >= Self::Unhealthy
    }
}
