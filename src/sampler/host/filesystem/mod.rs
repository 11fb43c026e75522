//! The space of file systems: `statvfs` of the mounts in `/proc/self/mountinfo`.
//!
//! Start with `probe.rs`, the source. `choose.rs` decides which mounts are reported, with `entry.rs` for one mount and
//! `tree.rs` for mounts that hide others. `space.rs` reads the space.
//!
//! The reported file systems are those that `df` shows for local disks, each once. Mounts that are hidden by others, or
//! excluded by the settings, are left out. If a file system has several other mounts, one of them is reported. Preferred
//! are: a folder to a single file, a writable mount to a read-only one, a mount of the whole file system to one of a part,
//! a short path to a long one. The list of mounts is parsed only when it has changed, in linear time.
//!
//! `statvfs` may hang, for example if a file server is down. Therefore this is a separate source. Network file systems are
//! read only if the settings include them, and each on its own thread.

mod choose;
mod entry;
mod probe;
mod space;
#[cfg(test)]
mod tests;
mod tree;

pub(in crate::sampler) use probe::FileSystems;
