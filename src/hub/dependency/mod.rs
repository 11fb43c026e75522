//! What a program calls. Start with `handle.rs`; `call.rs` protects functions, `http.rs` HTTP clients, `builder.rs` puts the layers together.

mod builder;
mod call;
mod handle;
mod http;

pub use builder::DependencyBuilder;
pub use handle::Dependency;
pub use http::DependencyClient;
