//! A circuit for each key: a failing host or tenant does not shut out the others.
//!
//! # Why
//! A single circuit in front of a hundred upstreams sees one percent of failures when one of them is down, and stays
//! closed. A circuit per upstream sees that upstream fail, and refuses only its calls.
//!
//! ```
//! use campanile::{CallError, CircuitBreaker, CircuitState};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), campanile::ConfigError> {
//! let tenants = CircuitBreaker::keyed("tenants", |request: &(u64, String)| request.0)
//!     .consecutive_failures(1)
//!     .build()?;
//! let _ = tenants.call(7, async { Err::<(), _>("broken") }).await;
//! let refused = tenants.call(7, async { Ok::<_, &str>(()) }).await.unwrap_err();
//! assert!(refused.to_string().starts_with("circuit `tenants/7` is open"));
//! assert!(tenants.call(8, async { Ok::<_, &str>(()) }).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **Bounded.** At most [`KeyedSettings::max_keys`] keys have circuits. A new key evicts the least recently used closed
//!   circuit, so a flood of made-up keys does not evict open ones. If none is closed, the least recently used open or
//!   half-open circuit is evicted; further new keys then take turns at its place. Circuits that an operator forced open,
//!   disabled or set to metrics-only are evicted last, with a warning in the log. An open circuit without a call in the
//!   hour after its wait counts as closed here, and so does a half-open one without a call in an hour.
//! - **At most a share is ejected** at once: [`KeyedSettings::max_ejected`]. Failures beyond it leave their circuits
//!   closed, and are counted as [`Totals::kept_closed`](super::Totals::kept_closed). Such a circuit opens with
//!   the next failed or slow call that would open it, after another has closed or was evicted. A success never opens a
//!   circuit: after a common outage, circuits stay closed.
//! - **Counters never go down.** The counts of an evicted circuit stay in the totals. Calls that were running at its
//!   eviction are counted when the last of them has ended, and open nothing.
//! - **Metrics have no keys.** They have the name of the breaker only, and are summed over its circuits. So is its component
//!   in health, which loses points in proportion to the share of broken circuits.
//! - **The closure that returns a key runs outside locks.** Its panic reaches the caller and counts as no call.
//!
//! # What differs from one circuit
//! The key is known only with the request, so admission is decided in `call`. After a refusal, the inner service, which was
//! ready, is replaced by a fresh clone, which releases what the old one had reserved. A caller cannot wait in `call`: layers
//! refuse at once, and [`BreakerSettings::half_open_queue`](super::BreakerSettings::half_open_queue) applies to
//! [`KeyedBreaker::call`] only.
//!
//! A key is made for each call. Keys that are numbers, `&'static str`, `Arc<str>` or
//! [`http::uri::Authority`](https://docs.rs/http/latest/http/uri/struct.Authority.html) cost no allocation; a `String`
//! costs one. Requests without a key need one too, such as `"none"`: they share a circuit.
//!
//! A key costs less than 1 KiB of memory with the default settings, itself and its circuit's name included; a slow-call
//! limit that each circuit learns ([`Adaptive`](super::Adaptive)) costs about 800 bytes more.
//!
//! A [health probe](KeyedBreakerBuilder::health_probe) costs an open circuit a task, and each circuit its key once more.
//!
//! With room for 1,024 keys or more, the map is split into parts that are locked, filled and evicted from on their own:
//! keys spread over them evenly but not exactly, so leave some room above the number of keys in use.

mod builder;
mod circuits;
mod gate;
mod group;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod lru;
mod probe;
mod settings;
mod snapshot;
mod survey;

pub use builder::{KeyedBreakerBuilder, PerKey};
pub use circuits::Key;
pub(super) use group::Member;
pub use handle::{AnyKeyedBreaker, KeyedBreaker};
#[cfg(feature = "http")]
pub use http::{KeyedHttpLayer, KeyedHttpService};
pub use layer::{KeyedLayer, KeyedService};
pub use settings::KeyedSettings;
pub use snapshot::{KeyedSnapshot, States};
