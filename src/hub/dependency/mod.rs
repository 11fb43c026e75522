//! What a program calls. Start with `handle.rs`; `call.rs` protects functions, `builder.rs` puts the layers together.

mod builder;
mod call;
mod handle;

pub use builder::DependencyBuilder;
pub use handle::Dependency;
