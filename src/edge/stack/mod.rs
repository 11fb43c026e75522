//! All layers around an HTTP or gRPC client, in their order, each of which may be absent. Start with `layers.rs`; `grpc.rs`
//! follows it.

mod classifier;
#[cfg(all(feature = "grpc", feature = "hub"))]
mod grpc;
mod layers;
mod optional;

#[cfg(all(feature = "grpc", feature = "hub"))]
pub(crate) use grpc::GrpcStack;
pub(crate) use layers::{Layers, Spans, Stack};
