//! The layers for HTTP and gRPC: bodies are sent again, and a call that ran out of time gets a response.

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
