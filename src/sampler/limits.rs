//! Which limits the container has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the container limits processor time and memory below what the machine has.
///
/// The container and the machine measure the same two figures, and thresholds must watch only one of them: the machine
/// may be idle while this process waits for its quota. The probe of the container writes these flags at each reading, and
/// the probe of the machine does not watch a figure whose flag is set. All clones share the flags.
#[derive(Clone, Debug, Default)]
pub(in crate::sampler) struct Limits(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    cpu: AtomicBool,
    memory: AtomicBool,
}

impl Limits {
    /// Sets which limits the container has.
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
