//! A span for each request over HTTP or gRPC, on servers and on clients.
//!
//! The layers read and write trace context, baggage and correlation ids, and make one span for each request, which ends with
//! the last byte of the response. They record no durations of requests: the layers of [`Timing`](crate::Timing) do.
//!
//! Start with `server.rs` and `client.rs`, the layers. `http_span.rs` and `grpc_span.rs` make the spans; `observed.rs`
//! follows a request to its end.

mod access_log;
mod address;
mod body;
mod client;
mod ended;
mod forwarded;
mod future;
#[cfg(feature = "grpc")]
mod grpc_span;
mod http_span;
mod names;
mod observed;
mod server;
mod shown;
mod side;
mod untraced;

pub use client::{ClientSpanLayer, ClientSpans, UrlTemplate};
pub use server::{ServerSpanLayer, ServerSpans};
