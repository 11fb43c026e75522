//! Reads the machine and this process on demand.

use super::host::Machine;
#[cfg(target_os = "linux")]
use super::host::{Disks, FileSystems, Networks};
use super::probe::Failures;
use super::process::Process;
use super::snapshot::SystemSnapshot;
use crate::base::sync::Mutex;

static READERS: Mutex<Option<Readers>> = Mutex::new(None);

/// The readers, which keep values from one snapshot to the next.
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
    /// Reads the machine and this process now, with about fifty system calls.
    ///
    /// A share of processor time needs two readings. The process keeps the last one, so each call returns the share since
    /// the previous call from any thread, and the first call returns none. A value that cannot be read is `None`. The
    /// call waits for a local disk that does not answer; the sampler does not wait.
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
