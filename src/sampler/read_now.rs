//! Reads the machine and this process on demand.

use super::host::Machine;
#[cfg(target_os = "linux")]
use super::host::{Disks, FileSystems, Networks};
use super::probe::Failures;
use super::process::Process;
use super::snapshot::SystemSnapshot;
use crate::base::sync::Mutex;

static READERS: Mutex<Option<Readers>> = Mutex::new(None);

/// What the snapshots of a process keep between them.
#[derive(Default)]
struct Readers {
    machine: Machine,
    process: Process,
    #[cfg(target_os = "linux")]
    disks: Disks,
    #[cfg(target_os = "linux")]
    file_systems: FileSystems,
    #[cfg(target_os = "linux")]
    networks: Networks,
}

impl SystemSnapshot {
    /// Reads the machine and this process now: some fifty system calls.
    ///
    /// A share of processor time needs two readings. The process keeps the last one, so every call gives the
    /// share since the call before it, from any thread; the first call gives none. What cannot be read is
    /// `None`. A local disk that does not answer makes this wait for it; the sampler does not.
    #[must_use]
    pub fn now() -> Self {
        let mut readers = READERS.lock();
        let readers = readers.get_or_insert_default();
        let mut snapshot = readers.machine.read().unwrap_or_default();
        snapshot.process =
            readers.process.read(&mut Failures::default()).ok().map(|reading| reading.snapshot);
        #[cfg(target_os = "linux")]
        {
            snapshot.disks = readers.disks.totals();
            snapshot.file_systems = readers.file_systems.snapshots();
            snapshot.network = readers.networks.totals();
        }
        snapshot
    }
}
