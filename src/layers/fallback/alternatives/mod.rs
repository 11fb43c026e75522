//! Connections in order: a primary, a replica, a local file.
//!
//! Start with `call.rs`, which tries them. `entry.rs` holds the connection of one alternative, and decides when it is tried again.

mod builder;
mod call;
mod entry;
mod error;
mod handle;
mod infrastructure;
mod metrics;
mod settings;
mod snapshot;

pub use builder::AlternativesBuilder;
pub use error::{AlternativeFailure, AlternativesError};
pub use handle::Alternatives;
pub use infrastructure::Infrastructure;
pub use settings::AlternativesSettings;
pub use snapshot::{AlternativeSnapshot, AlternativesSnapshot};
