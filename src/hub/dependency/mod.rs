//! What a program calls. Start with `handle.rs`; `call.rs` protects functions, `http.rs` HTTP clients,
//! `grpc.rs` gRPC clients.

mod call;
#[cfg(feature = "grpc")]
mod grpc;
mod handle;
mod http;

#[cfg(feature = "grpc")]
pub use grpc::DependencyChannel;
pub use handle::Dependency;
pub(super) use handle::DependencyInner;
pub use http::DependencyClient;
