//! Who reads when: threads that take turns.
//!
//! One thread waits for the next source that is due, and reads all that are, one after the other: a rhythm of 10 s
//! wakes it once in 10 s, whatever the number of sources. A second one wakes a little later, and as a rule finds nothing to do. When a source holds
//! the first one up, the second one reads what is left, and a third one is started that watches it in turn. A thread
//! that comes back when there are enough of them ends. So there are two threads as long as all sources answer, and
//! never more than one for each source and one besides.

mod reading;
mod rhythm;
mod source;
mod state;
mod threads;

pub(super) use threads::Running;
