//! The container that this process runs in: what its control group lets it have, and what it uses.
//!
//! A machine with idle processors says nothing about a service that may use half of one. So processor time and memory
//! are measured against what the container may have, and where that is less than what the machine has, these are the
//! figures that thresholds watch, in place of the machine's.
//!
//! Control groups of version 2, of version 1 and of both at once (hybrid) are read, wherever they are mounted.
//!
//! - **Limits count where they are set.** A limit may be that of a pod or a slice around the container. The limit told
//!   is the smallest on the way up, as far as it can be seen; the share in use is the largest of them all, each measured
//!   with what its own group uses; throttling is that of the group with the smallest quota.
//! - **No limit, no share.** A process in the root of a hierarchy is in no container, and then there is no metric of it.
//! - **The processors** that may be used are the quota, or the set of processors where that is smaller.
//! - **Memory in use** is the working set: without file pages that were not used of late. `memory.high` is a limit
//!   as `memory.max` is, since processes beyond it are held up.
//! - **A move** to another group is seen at the next reading. Counters go on from where they were and grow by what the
//!   new group counts from then on.
//!
//! What a reading costs is a dozen small files.

mod cpu;
mod group;
mod memory;
mod place;
mod probe;
#[cfg(test)]
mod tests;

pub(super) use probe::plan;
