//! What carries the trace on: the one place of client spans in the stack, around each attempt.

#[cfg(feature = "telemetry")]
pub(super) type Traced<S> = crate::telemetry::HttpInjection<S>;
#[cfg(not(feature = "telemetry"))]
pub(super) type Traced<S> = S;

/// Puts the trace context into the headers of each attempt.
#[cfg(feature = "telemetry")]
pub(super) fn traced<S>(service: S) -> Traced<S> {
    tower::Layer::layer(&crate::telemetry::http_injection_layer(), service)
}

/// Without telemetry there is no trace.
#[cfg(not(feature = "telemetry"))]
pub(super) fn traced<S>(service: S) -> Traced<S> {
    service
}
