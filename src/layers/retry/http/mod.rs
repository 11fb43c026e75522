//! The layers for HTTP and gRPC: they replay bodies, and answer a time-out with a response.

mod body;
mod body_timeout;
mod exchange;
#[cfg(feature = "grpc")]
mod grpc;
mod layer;
mod repeat;
mod service;

pub use body::RetryBody;
pub use body_timeout::{BodyTimeout, BodyTimeoutFuture, BodyTimeoutLayer, TimedBody};
#[cfg(feature = "grpc")]
pub use grpc::GrpcRetryLayer;
pub use layer::HttpRetryLayer;
pub use service::{HttpRetryFuture, HttpRetrying};
