//! The status of a span.

/// The status of a span so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanStatus {
    None,
    /// An error occurred inside the span.
    Failed,
    /// `otel.status_code` is `OK`. Errors inside the span do not change it.
    Ok,
    /// `otel.status_code` is `ERROR`.
    Error,
}

impl SpanStatus {
    pub(super) fn failed(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// Records an error inside the span. Returns `false` if the status is `Ok`.
    pub(super) fn fail(&mut self) -> bool {
        let open = *self != Self::Ok;
        if *self == Self::None {
            *self = Self::Failed;
        }
        open
    }
}
