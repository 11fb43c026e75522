//! The Tokio runtime: whether tasks get to run.
//!
//! A service whose workers are all held up still has a quiet processor and an empty list of errors. What tells is
//! how long a task waits for a worker, and only the runtime knows: so each reading spawns a task that does
//! nothing, and the next one tells how long it took until that ran. While it does not run, its age so far is the
//! value, so that a runtime that is stuck is seen while it is stuck. As long as it waits, it is one of the tasks
//! that are alive, and of those in the queue.
//!
//! A worker adds up its busy time as it goes, but tells it only when it has a pause: one that is held up shows in
//! the scheduling delay first, and in the busy time as soon as it is free again.
//!
//! A handle keeps no runtime alive. One that was shut down drops the task that it is given: then its handle is let
//! go too, and its series go away.

mod delay;
mod probe;
#[cfg(tokio_unstable)]
mod unstable;

pub(super) use probe::{Runtimes, plan};
