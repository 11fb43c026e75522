//! The container of this process: the limits and the usage of its control group.
//!
//! Start with `probe.rs`, the source. `place.rs` finds the control groups, `group.rs` reads their files, and `cpu.rs` and
//! `memory.rs` compute the metrics.
//!
//! Idle processors of the machine say nothing about a service that may use half a processor. So processor time and memory
//! are compared with the limits of the container. If these are lower than what the machine has, thresholds watch the
//! figures of the container instead of those of the machine.
//!
//! Control groups of version 2, of version 1 and of both (hybrid) are read, wherever they are mounted.
//!
//! - **Limits of outer groups count.** A limit may be set on a pod or a slice around the container. The reported limit is
//!   the smallest of all visible groups. The reported utilization is the largest: the usage of each group divided by its
//!   limit. Throttling is that of the group with the smallest quota.
//! - **Without a limit there is no utilization.** A process in the root of a hierarchy is in no container, and there are no
//!   metrics.
//! - **The limit of processors** is the quota, or the number of processors in the set (`cpuset`) if that is smaller.
//! - **Memory in use** is the working set, without inactive file pages. `memory.high` is a limit as `memory.max` is, because
//!   the kernel throttles processes above it.
//! - **A move** to another group is noticed at the next reading. Counters continue from their old values and grow by what
//!   the new group counts from then on.
//!
//! A reading costs about twelve small files.

mod cpu;
mod group;
mod memory;
mod place;
mod probe;
#[cfg(test)]
mod tests;

pub(super) use probe::plan;
