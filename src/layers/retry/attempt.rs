//! The number of an attempt, for the service that is called.

use std::time::Duration;

/// The number of an attempt. The layers for HTTP and gRPC put it into the extensions of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The time since the call began, at the start of the attempt.
    pub elapsed: Duration,
}

impl Attempt {
    /// How often the request was sent before: 0 for the first attempt. OpenTelemetry's `http.request.resend_count`.
    #[must_use]
    pub fn resend_count(&self) -> u32 {
        self.number - 1
    }
}
