//! Why a letter cannot be sent.

use serde::{Deserialize, Serialize};

words! {
    /// Why a letter cannot be sent as it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum Unsendable {
        /// JSON does not hold the request: reading it back gives another request, or fails. The letter is evidence only,
        /// in a form for people.
        EvidenceOnly = "evidence_only",
        /// A secret was removed from the request, other than from its headers.
        Redacted = "redacted",
        /// The body of an HTTP request is missing or incomplete: see [`BodyState`](super::BodyState).
        Body = "body",
        /// The service takes requests of another type, such as a later version of it.
        OtherType = "other_type",
        /// The letter itself cannot be read: it is damaged, or was written by another version of this crate.
        Unreadable = "unreadable",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub(crate) as_str;
    /// Every reason.
    pub(crate) ALL;
}

impl Unsendable {
    /// Whether another version of the program may be able to send the letter.
    pub(in crate::dead_letter) fn may_pass(self) -> bool {
        matches!(self, Self::OtherType | Self::Unreadable)
    }
}
