//! Reads each source at its interval, on threads that take turns.
//!
//! Start with `threads.rs`, the loop of each thread. `state.rs` says which source is due, `source.rs` when a source is read
//! again and what is logged, `reading.rs` makes one reading, and `rhythm.rs` computes the moments.
//!
//! One thread waits until a source is due, and reads all due sources one after the other. With an interval of 10 s it wakes
//! once every 10 s, for any number of sources. A second thread wakes a little later and usually finds nothing to do. If a
//! source blocks the first thread, the second thread reads the remaining sources, and a third thread is started to watch
//! the second one. A thread that comes back when there are enough threads ends. So there are two threads while all sources
//! answer, and never more than one for each source plus one.

mod reading;
mod rhythm;
mod source;
mod state;
mod threads;

pub(super) use threads::Running;
