//! The space of file systems: `statvfs` of the mounts in `/proc/self/mountinfo`.
//!
//! Start with `probe.rs`, the source. `choose.rs` decides which mounts are reported, with `entry.rs` for one mount and
//! `tree.rs` for mounts that hide others. `space.rs` reads the space.
//!
//! The reported file systems are those that `df` shows for local disks, each once. Mounts that are hidden by others, or
//! excluded by the settings, are left out. Of the other mounts of a file system one is chosen: a folder before a single
//! file, a writable mount before a read-only one, the whole before a part, a short path before a long one. The list is
//! parsed only when it has changed, in linear time.
//!
//! `statvfs` may hang, as with a server that is down. So this is a separate source, file systems of a network are not read
//! unless the settings include them, and each of those is read on its own thread.

mod choose;
mod entry;
mod probe;
mod space;
#[cfg(test)]
mod tests;
mod tree;

pub(in crate::sampler) use probe::FileSystems;
