//! A circuit for each key: one host, one tenant that fails does not shut out the others.
//!
//! # Why
//! One circuit in front of a hundred upstreams sees one per cent of failures when one of them is down, and stays
//! closed. A circuit for each sees all of them fail, and refuses their calls alone.
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
//! - **Bounded.** At most [`KeyedSettings::max_keys`] keys have circuits. A new key evicts a closed circuit, the one
//!   that was not used for longest: a flood of invented keys does not wash out what is known to be broken. When none is
//!   closed, an open or half-open one goes, again the one that was not used for longest; further new keys then take
//!   turns at its place. Those that an operator forced open, disabled or set to metrics-only go last, and the end of
//!   one is logged as a warning. An open circuit that no call asked for in the hour after its wait was over counts as
//!   closed here, and so does a half-open one that no call asked for in an hour.
//! - **At most a share is ejected** at once: [`KeyedSettings::max_ejected`]. Failures beyond it leave their circuits
//!   closed, and are counted as [`Totals::kept_closed`](super::Totals::kept_closed). Such a circuit opens with the next
//!   failed or slow call that would open it after another has closed or was evicted. A call that goes well opens none:
//!   when a common outage is over, circuits stay closed.
//! - **Counters never go down.** What an evicted circuit counted stays in the totals. Calls that were under way when it
//!   was evicted are counted when the last of them has ended, and open nothing.
//! - **Metrics know no keys.** They carry the name of the breaker alone, summed over its circuits; so does its
//!   component in health, which loses points in proportion to the share of circuits that are broken.
//! - **The closure that tells a key runs under no lock**, and its panic is the caller's: it counts as no call.
//!
//! # What differs from one circuit
//! Whose circuit is asked is known only with the request, so admission is decided in `call`. After a refusal the
//! inner service, which had said Ready, is replaced by a fresh clone, which gives back whatever it had reserved. A layer
//! has nobody to wait there: [`BreakerSettings::half_open_queue`](super::BreakerSettings::half_open_queue) holds for
//! [`KeyedBreaker::call`] alone, and a layer refuses at once.
//!
//! A key is made for each call. Keys that are numbers, `&'static str`, `Arc<str>` or
//! [`http::uri::Authority`](https://docs.rs/http/latest/http/uri/struct.Authority.html) cost no allocation; a `String`
//! costs one. A request without a key needs one all the same, `"none"` say: such requests share a circuit.
//!
//! A key costs less than 1 KiB of memory with the default settings, itself and its circuit's name included; a slow-call
//! limit that each circuit learns ([`Adaptive`](super::Adaptive)) costs about 800 bytes more.
//!
//! A [health probe](KeyedBuilder::health_probe) costs an open circuit a task, and each circuit its key once more.
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

pub use builder::{KeyedBuilder, PerKey};
pub use circuits::Key;
pub(super) use group::Member;
pub use handle::{AnyKeyedBreaker, KeyedBreaker};
#[cfg(feature = "http")]
pub use http::{KeyedHttpLayer, KeyedHttpService};
pub use layer::{KeyedLayer, KeyedService};
pub use settings::KeyedSettings;
pub use snapshot::{KeyedSnapshot, States};
