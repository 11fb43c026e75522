//! The layer for HTTP: bodies are sent again, and the error type of the service stays as it is.

mod body;
mod layer;
mod repeat;
mod service;

pub use body::RetryBody;
pub use layer::HttpRetryLayer;
pub use service::{HttpRetryFuture, HttpRetrying};
