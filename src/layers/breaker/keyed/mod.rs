//! A circuit for each key. Start with `handle.rs`; `circuits.rs` has the table of circuits, and `lru.rs` decides which one is
//! evicted.

mod any;
mod builder;
mod circuits;
mod gate;
mod handle;
#[cfg(feature = "http")]
mod http;
mod key;
mod layer;
mod lru;
mod probe;
mod settings;
mod snapshot;
mod sums;

pub use any::AnyKeyedBreaker;
pub use builder::KeyedBreakerBuilder;
pub use handle::KeyedBreaker;
#[cfg(feature = "http")]
pub use http::{KeyedHttpLayer, KeyedHttpService};
pub use layer::{KeyedLayer, KeyedService};
pub use settings::KeyedSettings;
pub use snapshot::{KeyedSnapshot, States};
