//! The layers for HTTP and gRPC.
//!
//! Start with `layer.rs`. `body.rs` copies the body of a good response while its reader reads it; `cacheable.rs` decides what
//! may be kept, and `stale.rs` makes the response of what was kept.

mod body;
mod cacheable;
mod layer;
mod stale;
mod substitute;

pub use body::FallbackBody;
pub use layer::{HttpFallbackLayer, HttpWithFallback};
pub use substitute::HttpSubstitute;
