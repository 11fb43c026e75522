//! What the allocator of this process holds.
//!
//! The operating system sees the pages that an allocator keeps, not what the program has in them: resident memory that
//! grows while `allocated` does not is fragmentation, and no leak.
//!
//! A program has one jemalloc at most, and calls into mimalloc are unsafe: so this crate links neither, and the program
//! that has one says how it is asked. See [`SamplerBuilder::allocator`](super::SamplerBuilder::allocator).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::probe::{DEADLINE, Labels, Plan, Probe, ProbeError, Sample, check_names, count};
use crate::base::error::ConfigError;
use crate::signal::ALLOCATOR_MEMORY;

/// Memory of an allocator at one moment, in bytes; `None` is what it does not tell.
///
/// One may be part of another: what is allocated lies in active pages, which are mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocatorStats {
    /// What the program has asked for and not given back.
    pub allocated: Option<u64>,
    /// The pages that hold it.
    pub active: Option<u64>,
    /// What is in physical memory, the allocator's own bookkeeping included.
    pub resident: Option<u64>,
    /// Address space that can be used as it is.
    pub mapped: Option<u64>,
    /// Address space that is kept for later without memory behind it.
    pub retained: Option<u64>,
}

type Ask = Arc<dyn Fn() -> Option<AllocatorStats> + Send + Sync>;

/// The allocators to ask, by name.
#[derive(Clone, Default)]
pub(super) struct Allocators(Vec<(Box<str>, Ask)>);

impl Allocators {
    pub(super) fn add(
        &mut self,
        name: &str,
        ask: impl Fn() -> Option<AllocatorStats> + Send + Sync + 'static,
    ) {
        self.0.push((name.into(), Arc::new(ask)));
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_names("sampler.allocator", &self.0, "a name that no other allocator has")
    }

    /// A source for each: one that hangs is nothing to the others.
    pub(super) fn plans(&self, every: Duration) -> impl Iterator<Item = Plan> {
        self.0.iter().map(move |(name, ask)| {
            let (name, ask) = (name.clone(), Arc::clone(ask));
            Plan {
                name: format!("allocator.{name}").into(),
                make: Arc::new(move || Box::new(Allocator::new(&name, Arc::clone(&ask)))),
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
    ask: Ask,
    /// In the order of the fields.
    labels: [Labels; 5],
}

impl Allocator {
    fn new(name: &str, ask: Ask) -> Self {
        let labels = ["allocated", "active", "resident", "mapped", "retained"]
            .map(|state| Labels::new([("allocator", name), ("state", state)]));
        Self { ask, labels }
    }
}

impl Probe for Allocator {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let Some(stats) = (self.ask)() else { return Ok(()) };
        let AllocatorStats { allocated, active, resident, mapped, retained } = stats;
        for (bytes, labels) in [allocated, active, resident, mapped, retained].into_iter().zip(&self.labels) {
            sample.with(&ALLOCATOR_MEMORY, bytes.map(count), labels);
        }
        Ok(())
    }
}
