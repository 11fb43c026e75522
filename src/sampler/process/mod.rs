//! This process. Its name and command line are not read.
//!
//! Start with `probe.rs`, the source. `linux.rs` and `other.rs` read the figures in `reading.rs`.
//!
//! On Linux, a reading takes a few system calls and three small files that stay open:
//!
//! | figure | source |
//! |---|---|
//! | processor time, context switches, page faults | `getrusage`, which includes threads that have ended |
//! | memory, its peak, threads | `/proc/self/status` |
//! | bytes read from and written to disks | `/proc/self/io`, if it may be read; it includes children that were waited for |
//! | file descriptors | the size of `/proc/self/fd`, which is their count since Linux 6.2; a listing before |
//! | limit of file descriptors | `getrlimit`, the soft limit |
//! | uptime | the boot-time clock; the start of the process is read once |
//!
//! `procfs` has no `getrusage`. Processor time in `/proc/self/stat` is in ticks of 10 ms. `/proc/self/status` has the
//! context switches of the main thread only, and a sum over all threads would miss those that have ended.
//!
//! On other systems the figures come from `sysinfo`.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;
mod probe;
mod reading;
mod resident;

pub(super) use probe::{Process, plan};
pub(crate) use resident::resident_memory;
