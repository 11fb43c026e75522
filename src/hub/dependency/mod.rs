//! What a program calls. Start with `handle.rs`; `call.rs` protects functions, `http.rs` HTTP clients.

mod call;
mod handle;
mod http;

pub use handle::Dependency;
pub(super) use handle::DependencyInner;
pub use http::DependencyClient;
