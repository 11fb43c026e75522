//! The memory that the allocator of this process holds.
//!
//! The operating system counts the pages of an allocator, not what the program uses of them. If resident memory grows and
//! `allocated` does not, the cause is fragmentation and not a leak.
//!
//! This crate links neither jemalloc, which a program can have only once, nor mimalloc, whose calls are unsafe. The
//! program passes a function that reads its allocator: see
//! [`SamplerBuilder::allocator`](super::SamplerBuilder::allocator).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::probe::{DEADLINE, Labels, Plan, Probe, ProbeError, Sample, check_names, count};
use crate::base::error::ConfigError;
use crate::signal::ALLOCATOR_MEMORY;

/// The memory of an allocator at one moment, in bytes. A field is `None` if the allocator does not report it.
///
/// To make one, set fields of `AllocatorStats::default()`:
/// [`SamplerBuilder::allocator`](super::builder::SamplerBuilder::allocator) has examples.
///
/// The fields overlap: allocated memory is in active pages, and active pages are mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocatorStats {
    /// Memory that the program allocated and did not free.
    pub allocated: Option<u64>,
    /// The pages that hold the allocated memory.
    pub active: Option<u64>,
    /// Physical memory, including the allocator's own bookkeeping.
    pub resident: Option<u64>,
    /// Mapped address space.
    pub mapped: Option<u64>,
    /// Address space that is reserved for later and not backed by memory.
    pub retained: Option<u64>,
}

type ReadStats = Arc<dyn Fn() -> Option<AllocatorStats> + Send + Sync>;

/// The allocators to read, by name.
#[derive(Clone, Default)]
pub(super) struct Allocators(Vec<(Box<str>, ReadStats)>);

impl Allocators {
    pub(super) fn add(
        &mut self,
        name: &str,
        read: impl Fn() -> Option<AllocatorStats> + Send + Sync + 'static,
    ) {
        self.0.push((name.into(), Arc::new(read)));
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_names("sampler.allocator", &self.0, "a name that no other allocator has")
    }

    /// One source for each allocator, so that one that hangs does not stop the others.
    pub(super) fn plans(&self, every: Duration) -> impl Iterator<Item = Plan> {
        self.0.iter().map(move |(name, read)| {
            let (name, read) = (name.clone(), Arc::clone(read));
            Plan {
                name: format!("allocator.{name}").into(),
                make: Arc::new(move || Box::new(Allocator::new(&name, Arc::clone(&read)))),
                every,
                deadline: DEADLINE,
            }
        })
    }
}

impl fmt::Debug for Allocators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

struct Allocator {
    read: ReadStats,
    /// In the order of the fields of [`AllocatorStats`].
    labels: [Labels; 5],
}

impl Allocator {
    fn new(name: &str, read: ReadStats) -> Self {
        let labels = ["allocated", "active", "resident", "mapped", "retained"]
            .map(|state| Labels::new([("allocator", name), ("state", state)]));
        Self { read, labels }
    }
}

impl Probe for Allocator {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let Some(stats) = (self.read)() else { return Ok(()) };
        let AllocatorStats { allocated, active, resident, mapped, retained } = stats;
        for (bytes, labels) in [allocated, active, resident, mapped, retained].into_iter().zip(&self.labels) {
            sample.with(&ALLOCATOR_MEMORY, bytes.map(count), labels);
        }
        Ok(())
    }
}
