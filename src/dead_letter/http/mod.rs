//! The layers for HTTP and gRPC, on servers and on clients: start at `layer.rs`. `job.rs` holds a request while its call is
//! in progress.

#[cfg(feature = "grpc")]
mod grpc;
mod headers;
mod job;
mod layer;

#[cfg(feature = "grpc")]
pub use grpc::{GrpcDeadLetter, GrpcDeadLetterLayer};
pub(super) use headers::{IDEMPOTENCY_KEY, LETTER};
pub(super) use job::failure_of_head;
pub use layer::{HttpDeadLetter, HttpDeadLetterLayer};
