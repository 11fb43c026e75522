//! Which limits of a container are in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the container, and not the machine, says how much processor time and memory there is to have.
///
/// Both measure the same two figures, and one of them must be silent: the whole machine may be idle while this
/// process waits for its quota. The container's probe writes this at each reading, that of the machine leaves out
/// the figures that are watched there. All clones are one.
#[derive(Clone, Debug, Default)]
pub(in crate::sampler) struct Limits(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    cpu: AtomicBool,
    memory: AtomicBool,
}

impl Limits {
    /// What the container is held to at this reading.
    #[cfg(target_os = "linux")]
    pub(in crate::sampler) fn set(&self, cpu: bool, memory: bool) {
        self.0.cpu.store(cpu, Ordering::Relaxed);
        self.0.memory.store(memory, Ordering::Relaxed);
    }

    pub(in crate::sampler) fn cpu(&self) -> bool {
        self.0.cpu.load(Ordering::Relaxed)
    }

    pub(in crate::sampler) fn memory(&self) -> bool {
        self.0.memory.load(Ordering::Relaxed)
    }
}
