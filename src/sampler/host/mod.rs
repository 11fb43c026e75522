//! The machine: processors, memory, load, disks, file systems, network.
//!
//! Each kind is a source of its own where it may hang, fail or be missing by itself: what `/proc` tells is always
//! there, while a file system may wait for a server that is away.

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
