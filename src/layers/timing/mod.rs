//! Timing: durations, outcomes and number of running calls.
//!
//! To read the code, start with `handle.rs`, then `layer.rs` and `stopwatch.rs` for plain calls, or `http.rs` and
//! `exchange.rs` for calls over HTTP and gRPC.
//!
//! # Why
//! Breakers open for slow calls, and retries spend their budget on failures. Timing shows both before that happens. Each
//! layer records the histogram that the OpenTelemetry conventions define for its kind of call. The handle also has a
//! [`TimingSnapshot`] with percentiles, for use without a metrics server. Each call is counted once, in the handle. Without
//! a telemetry pipeline the histogram costs nothing.
//!
//! A response that streams is timed to its end: the last byte, an error, or the drop of its body. A body that is
//! dropped midway is not a failure and is counted in [`TimingSnapshot::ignored`], unless the stream had
//! [stalled](crate::base::outcome#streams) for more than a second. Then it is [`Cancelled`](crate::FailureKind::Cancelled), like
//! a call that was dropped before the head.
//! [`HttpTimingLayer::server_timing`] adds the time to the head of a response as a header.
//!
//! Percentiles come from a [`Sketch`], whose error is at most 1/32 of the value. [`TimingSnapshot::merge`] adds up
//! the snapshots of several handles or processes without a further error.
//!
//! Running calls are a gauge: `http.server.active_requests` and `http.client.active_requests` by the conventions, and
//! `campanile.timing.active_calls` for each handle, for calls of any kind.
//!
//! # Cost
//! A call reads the clock twice and updates four counters. The threads of a process share eight shards of counters; a shard
//! takes about 10 KB per handle once it is used. The rate costs a call one comparison of the second. Counts are exact. A
//! snapshot may show a call that has just ended as still running.
//!
//! # Example
//! ```
//! use campanile::Timing;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let timing = Timing::new("orders");
//! let mut service = ServiceBuilder::new()
//!     .layer(timing.layer())
//!     .service_fn(|n: u32| async move { Ok::<_, std::convert::Infallible>(n + 1) });
//! service.ready().await?.call(1).await?;
//! assert_eq!(timing.snapshot().calls, 1);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod call;
#[cfg(feature = "http")]
mod exchange;
mod function;
mod handle;
mod histograms;
#[cfg(feature = "http")]
mod http;
mod layer;
mod meter;
mod minute;
#[cfg(feature = "http")]
mod recorders;
#[cfg(feature = "http")]
mod server_timing;
mod shard;
mod snapshot;
mod stopwatch;

pub use crate::base::sketch::Sketch;
pub use handle::Timing;
#[cfg(feature = "http")]
pub use http::{HttpTimed, HttpTimingLayer};
pub use layer::{Timed, TimingLayer};
pub use snapshot::{LastMinute, TimingSnapshot};
