//! How a request ended.

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended<'a> {
    /// Its response was read to the end.
    Whole,
    /// Its reader dropped the response, which is no error of either side.
    Left,
    /// With this type of error.
    Failed(&'a str),
    Cancelled,
    TimedOut,
    Panicked,
}

impl<'a> Ended<'a> {
    /// The `error.type` of a request without a status that is an error.
    pub(super) fn error_type(self) -> Option<&'a str> {
        match self {
            Self::Whole | Self::Left => None,
            Self::Failed(kind) => Some(kind),
            Self::Cancelled => Some("cancelled"),
            Self::TimedOut => Some("timeout"),
            Self::Panicked => Some("panic"),
        }
    }
}
