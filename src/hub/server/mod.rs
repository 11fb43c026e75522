//! What a program offers. Start with `handle.rs`; `layer.rs` is its layer.

mod handle;
mod layer;

pub use handle::Server;
pub(super) use handle::ServerInner;
pub use layer::ServerLayer;
