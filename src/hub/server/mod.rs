//! What a program offers. Start with `handle.rs`; `layer.rs` is its layer, `builder.rs` makes it.

mod builder;
mod handle;
mod layer;

pub use builder::ServerBuilder;
pub use handle::Server;
pub use layer::ServerLayer;
