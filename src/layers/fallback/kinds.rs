//! The kinds of fallbacks, how calls end, and why an answer was not kept.

use serde::Serialize;

words! {
    /// What a fallback answers with. Over HTTP and gRPC it is among the extensions of each response that a fallback gave.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum FallbackKind {
        /// A function: [`Fallback::call_or`](crate::Fallback::call_or).
        Function = "function",
        /// A fixed value.
        Value = "value",
        /// Another service.
        Service = "service",
        /// The last good answer to the same question.
        LastGood = "last_good",
    }
    /// The kind in snake case, as in metrics.
    pub as_str;
    /// Every kind.
    pub(crate) ALL;
}

words! {
    /// How a call ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum CallEnd {
        /// The first try was no failure.
        Success = "success",
        /// The fallback answered.
        Answered = "answered",
        /// The fallback had no answer.
        Missing = "missing",
        /// The fallback failed too.
        Failed = "failed",
        /// The call was dropped before its end.
        Cancelled = "cancelled",
    }
    pub(super) as_str;
    pub(super) ALL;
}

words! {
    /// Why an answer was not kept as a last good one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum NotKept {
        /// It is larger than [`max_body`](super::FallbackSettings::max_body) or
        /// [`max_bytes`](super::FallbackSettings::max_bytes).
        TooLarge = "too_large",
        /// It may be meant for one caller, or it forbids to be kept: see
        /// [`keep_private`](super::FallbackSettings::keep_private).
        Private = "private",
        /// It answers a part of a resource, has another status than 200, 203 and 204, or depends on all of the request.
        NotWhole = "not_whole",
        /// Its body was not read to its end, failed, or ended with trailers.
        Incomplete = "incomplete",
        /// The code of the user that computes its key, its size or its copy panicked.
        Panic = "panic",
    }
    /// The reason in snake case, as in metrics.
    pub as_str;
    /// Every reason.
    pub(crate) ALL;
}
