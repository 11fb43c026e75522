//! The status of a span.

/// The status of a span so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanStatus {
    None,
    /// An error happened inside it.
    Failed,
    /// `otel.status_code` says `OK`, whatever happened inside it.
    Ok,
    /// `otel.status_code` says `ERROR`.
    Error,
}

impl SpanStatus {
    pub(super) fn failed(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// Sets an error inside the span; `false` if the status was set explicitly.
    pub(super) fn fail(&mut self) -> bool {
        let open = *self != Self::Ok;
        if *self == Self::None {
            *self = Self::Failed;
        }
        open
    }
}
