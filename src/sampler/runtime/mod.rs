//! The Tokio runtimes of this process.
//!
//! Start with `probe.rs`, the source. `delay.rs` measures the scheduling delay, and `unstable.rs` reads what Tokio reports
//! only with `tokio_unstable`.
//!
//! A service whose workers are all blocked shows neither busy processors nor errors, but its tasks wait for a worker. So
//! each reading spawns a task that does nothing, and the next reading reports how long that task waited. While it still
//! waits, its age is reported, so that a blocked runtime is seen while it is blocked. A waiting task counts among the
//! alive tasks and among those in the queue.
//!
//! A worker reports its busy time only when it is idle for a moment. So a blocked worker shows first in the scheduling
//! delay, and in the busy time once it is no longer blocked.
//!
//! The sampler does not keep a runtime alive. A runtime that was shut down drops the spawned task; then the sampler drops
//! its handle, and its series disappear.

mod delay;
mod probe;
#[cfg(tokio_unstable)]
mod unstable;

pub(super) use probe::{Runtimes, plan};
