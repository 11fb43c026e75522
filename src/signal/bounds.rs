//! Bucket bounds of durations.

/// The bucket bounds, in seconds, that the OpenTelemetry conventions give for durations of HTTP and RPC.
pub(super) const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
