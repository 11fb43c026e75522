//! The machine: processors, memory, load, disks, file systems, network.
//!
//! Start with `plans.rs`, the list of sources. On Linux, `machine.rs` is the source `system`, which uses `cpu.rs` and
//! `memory.rs`; on other systems it is `elsewhere.rs`. `disk.rs`, `network.rs`, `filesystem` and `slow.rs` hold the other
//! sources.
//!
//! A part that may hang, fail or be missing on its own is a separate source: `/proc` always answers, but a file system
//! may wait for a server.

#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod devices;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
mod figures;
#[cfg(target_os = "linux")]
mod filesystem;
mod filters;
#[cfg(target_os = "linux")]
mod machine;
mod memory;
#[cfg(target_os = "linux")]
mod network;
mod plans;
#[cfg(all(test, target_os = "linux"))]
mod recorded;
mod settings;
#[cfg(target_os = "linux")]
mod slow;

#[cfg(target_os = "linux")]
pub(super) use disk::Disks;
#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Machine;
#[cfg(target_os = "linux")]
pub(super) use filesystem::FileSystems;
#[cfg(target_os = "linux")]
pub(super) use machine::Machine;
#[cfg(target_os = "linux")]
pub(super) use network::Networks;
pub(super) use plans::plans;
pub use settings::SystemSettings;
