//! This process, and no other. What it is called and how it was started is not read.
//!
//! On Linux one reading is a few system calls and three small files that stay open, none of them read twice:
//!
//! | figure | source |
//! |---|---|
//! | processor time, context switches, page faults | `getrusage`: of all threads, those that ended too |
//! | memory, its peak, threads | `/proc/self/status` |
//! | bytes that disks moved | `/proc/self/io`, where it may be read; children that were waited for are in it |
//! | file descriptors | the size of `/proc/self/fd`, which is their count since Linux 6.2; a listing before |
//! | their limit | `getrlimit`, the soft one |
//! | uptime | the boot-time clock; when the process started is read once |
//!
//! `procfs` has no `getrusage`. Processor time in `/proc/self/stat` is in ticks of 10 ms, and the context switches of
//! `/proc/self/status` are those of the main thread alone: a sum over the threads would be a scan that forgets those
//! that ended.
//!
//! Elsewhere `sysinfo` tells what it can.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;
mod probe;
mod reading;

pub(super) use probe::{Process, plan};
