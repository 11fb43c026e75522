//! One line of the list of mounts.

use std::os::unix::fs::MetadataExt;

use procfs::process::MountInfo;

use super::space::Space;
use super::tree::Node;
use crate::sampler::snapshot::FileSystemSnapshot;

/// Types of local disks without a block device.
const LOCAL: [&str; 4] = ["btrfs", "zfs", "bcachefs", "ubifs"];
/// Types of images on a block device, which are always full.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];
/// Prefixes of types that may wait for a server or a program.
const REMOTE: [&str; 16] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "gluster", "gpfs", "lustre", "ncp", "nfs",
    "ocfs2", "smb", "virtiofs",
];

/// A line of the list of mounts.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    /// The mount on which it is mounted.
    pub(super) parent: i64,
    /// Major and minor number. The major number is 0 if there is no block device.
    pub(super) device: (u32, u32),
    /// Whether the whole file system is mounted, and not a part of it.
    pub(super) whole: bool,
    pub(super) path: String,
    pub(super) read_only: bool,
    pub(super) kind: String,
    pub(super) source: String,
    /// Whether its path leads through a mount that may hang.
    pub(super) beneath: bool,
}

/// The kind of the path of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Folder,
    File,
    /// Nothing, something that this process may not access, or another file system.
    Nothing,
}

/// Checks whether the path leads to this file system, and not to a mount over it.
pub(super) fn inspect(entry: &Entry) -> Found {
    if entry.may_hang() {
        // It is read later, on its own thread.
        return Found::Folder;
    }
    let Ok(metadata) = std::fs::metadata(&entry.path) else { return Found::Nothing };
    let device = metadata.dev();
    let same = (rustix::fs::major(device), rustix::fs::minor(device)) == entry.device;
    // A file system without a block device may have a number for each of its parts.
    match (same || entry.device.0 == 0, metadata.is_dir()) {
        (false, _) => Found::Nothing,
        (true, true) => Found::Folder,
        (true, false) => Found::File,
    }
}

/// The identity of a file system.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Device(u32, u32),
    /// For btrfs, whose subvolumes have different numbers and the same device.
    Source(String),
}

impl Entry {
    pub(super) fn new(mount: MountInfo) -> Option<Self> {
        let (major, minor) = mount.majmin.split_once(':')?;
        // The kernel writes `none` if there is no source.
        let source = mount.mount_source.as_deref().unwrap_or("none");
        Some(Self {
            id: mount.mnt_id.into(),
            parent: mount.pid.into(),
            device: (major.parse().ok()?, minor.parse().ok()?),
            whole: mount.root == "/",
            path: mount.mount_point.to_str()?.to_owned(),
            read_only: mount.mount_options.contains_key("ro") || mount.super_options.contains_key("ro"),
            kind: mount.fs_type,
            // `host` of `user:password@host`.
            source: source.rsplit_once('@').map_or(source, |(_, host)| host).to_owned(),
            beneath: false,
        })
    }

    pub(super) fn node(&self) -> Node<'_> {
        Node { id: self.id, parent: self.parent, path: &self.path }
    }

    pub(super) fn identity(&self) -> Identity {
        match &*self.kind {
            "btrfs" => Identity::Source(self.source.clone()),
            _ => Identity::Device(self.device.0, self.device.1),
        }
    }

    pub(super) fn snapshot(&self, space: Space) -> FileSystemSnapshot {
        FileSystemSnapshot {
            mount_point: self.path.clone(),
            device: self.source.clone(),
            kind: self.kind.clone(),
            read_only: self.read_only,
            limit: space.limit,
            used: space.used,
            free: space.free,
        }
    }

    pub(super) fn is_local(&self) -> bool {
        let kind = &*self.kind;
        // The root of a container is an overlay. The container does not see the disk below it.
        self.path == "/" && kind != "rootfs"
            || (self.device.0 != 0 && !IMAGES.contains(&kind))
            || LOCAL.contains(&kind)
    }

    /// Whether it may hang: a file system without a disk may wait for a server or a program.
    pub(super) fn may_hang(&self) -> bool {
        let no_disk = self.device.0 == 0 && !LOCAL.contains(&&*self.kind) && self.path != "/";
        no_disk || self.beneath || self.is_remote()
    }

    /// Whether its type is known to wait for a server or a program.
    pub(super) fn is_remote(&self) -> bool {
        self.path != "/" && REMOTE.iter().any(|kind| self.kind.starts_with(kind))
    }
}
