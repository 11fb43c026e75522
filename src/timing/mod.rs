//! Timing: how long calls take, how they end, and how many run.
//!
//! # Why
//! A breaker opens for slowness and a budget is spent on failures; a person wants to see both before they
//! matter. Each layer records the histogram that the OpenTelemetry conventions name for its kind of call, and
//! the handle keeps a [`TimingSnapshot`] with percentiles for people without a metrics server. Counting happens
//! once, in the handle; without a pipeline the histogram costs nothing.
//!
//! A response that streams is timed to its end: the last byte, an error, or the drop of its body. A reader that drops it
//! midway is no failure, and is counted in [`TimingSnapshot::ignored`], unless the stream had
//! [stalled](crate::outcome#streams) for more than a second: then it is
//! [`Cancelled`](crate::FailureKind::Cancelled), as any call whose caller left before the head.
//! [`HttpTimingLayer::server_timing`] tells callers the time to its head.
//!
//! Percentiles come from a [`Sketch`], which is wrong by at most 1/32 of the value. [`TimingSnapshot::merge`] adds up
//! the snapshots of several handles or processes without a further error.
//!
//! Calls under way are a gauge: `http.server.active_requests` and `http.client.active_requests` by the conventions, and
//! `campanile.timing.active_calls` for each handle, whatever its calls are.
//!
//! # Cost
//! Two readings of the clock, and four counts that threads keep apart: the threads of a process share eight lanes, each
//! of which takes about 10 KB of a handle once a call comes to it. The rate costs a call nothing but a look at the
//! second. Counts are exact; in a snapshot that is taken while calls end, one that just did may be in flight still.
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
mod handle;
#[cfg(feature = "http")]
mod http;
mod lane;
mod layer;
mod minute;
#[cfg(feature = "http")]
mod recorders;
#[cfg(feature = "http")]
mod server_timing;
mod snapshot;
mod stopwatch;

pub use crate::sketch::Sketch;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use exchange::Exchange;
pub use handle::Timing;
#[cfg(feature = "http")]
pub use http::{HttpTimed, HttpTimingLayer, ResponseBody};
pub use layer::{Timed, TimingLayer};
pub use snapshot::{LastMinute, TimingSnapshot};
pub use stopwatch::Stopwatch;
