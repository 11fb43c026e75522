//! The space of file systems, by `statvfs` of what `/proc/self/mountinfo` lists.
//!
//! Shown is what `df` shows of local disks, each space once. What a mount hides, and what the settings leave out, goes
//! first; of the mounts that remain of one file system one is chosen: a folder before a single file, one that can be
//! written before one that cannot, all of it before a part, the short path before the long one. The list is taken apart
//! only when it changed, with a number of steps that grows as the list does.
//!
//! Asking a file system about its space may hang, as with a server that is away: so this is a source of its own, what
//! comes over a network is not asked unless the settings say so, and then each for itself.

mod choose;
mod entry;
mod probe;
mod space;
#[cfg(test)]
mod tests;
mod tree;

pub(in crate::sampler) use probe::FileSystems;
