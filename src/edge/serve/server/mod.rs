//! The HTTP server of a shutdown: it knows its connections and requests, which axum's does not tell, and can end them.
//!
//! Start with `accept.rs`. `connection.rs` serves one connection, `tracked.rs` counts its requests, and `load.rs` sums them up.

mod accept;
mod connection;
mod load;
mod tracked;

pub(super) use accept::accept;
pub(super) use load::Load;
