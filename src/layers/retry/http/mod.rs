//! The layers for HTTP and gRPC: they replay bodies, and answer a timeout with a response. Start with `exchange.rs`, which
//! sends each attempt and judges its response; `idempotent.rs` says which requests may be sent again.

mod advice;
mod body;
mod body_timeout;
mod exchange;
#[cfg(feature = "grpc")]
mod grpc;
mod idempotent;
mod layer;
mod protocol;
mod retry_after_status;
mod service;

pub use body_timeout::{BodyTimeout, BodyTimeoutLayer};
pub use layer::HttpRetryLayer;
pub use service::HttpRetrying;
