//! One line of the list of mounts.

use std::os::unix::fs::MetadataExt;

use procfs::process::MountInfo;

use super::space::Space;
use super::tree::Node;
use crate::sampler::snapshot::FileSystemSnapshot;

/// Types without a block device of their own that are local disks all the same.
const LOCAL: [&str; 4] = ["btrfs", "zfs", "bcachefs", "ubifs"];
/// Types on a block device that are images, full by nature.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];
/// How types begin of what waits for a server or a program, with a block device of its own or without.
const REMOTE: [&str; 16] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "gluster", "gpfs", "lustre", "ncp", "nfs",
    "ocfs2", "smb", "virtiofs",
];

/// A line of the list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    /// The mount that it lies on.
    pub(super) parent: i64,
    /// Major and minor number; the major one is 0 where there is no block device.
    pub(super) device: (u32, u32),
    /// Whether all of the file system is mounted there, and not a part of it.
    pub(super) whole: bool,
    pub(super) path: String,
    pub(super) read_only: bool,
    pub(super) kind: String,
    pub(super) source: String,
    /// Whether its path leads through what may take for ever to answer.
    pub(super) beneath: bool,
}

/// What is found where a file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Folder,
    File,
    /// Nothing, or nothing that this process may look at, or another file system.
    Nothing,
}

/// Looks whether the path leads to this file system, and not to what was mounted over it meanwhile.
pub(super) fn look(entry: &Entry) -> Found {
    if entry.may_hang() {
        // It is asked later, where that holds up nothing else.
        return Found::Folder;
    }
    let Ok(metadata) = std::fs::metadata(&entry.path) else { return Found::Nothing };
    let device = metadata.dev();
    let same = (rustix::fs::major(device), rustix::fs::minor(device)) == entry.device;
    // Those without a block device may give each part of themselves a number.
    match (same || entry.device.0 == 0, metadata.is_dir()) {
        (false, _) => Found::Nothing,
        (true, true) => Found::Folder,
        (true, false) => Found::File,
    }
}

/// What tells file systems apart.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Device(u32, u32),
    /// A subvolume of btrfs has a number of its own, and the device of all.
    Source(String),
}

impl Entry {
    pub(super) fn new(mount: MountInfo) -> Option<Self> {
        let (major, minor) = mount.majmin.split_once(':')?;
        // The kernel says `none` where there is no source.
        let source = mount.mount_source.as_deref().unwrap_or("none");
        Some(Self {
            id: mount.mnt_id.into(),
            parent: mount.pid.into(),
            device: (major.parse().ok()?, minor.parse().ok()?),
            whole: mount.root == "/",
            path: mount.mount_point.to_str()?.to_owned(),
            read_only: mount.mount_options.contains_key("ro") || mount.super_options.contains_key("ro"),
            kind: mount.fs_type,
            // Of `user:password@host`, the host.
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
        // The root of a container is an overlay, and all that the container sees of the disk below.
        self.path == "/" && kind != "rootfs"
            || (self.device.0 != 0 && !IMAGES.contains(&kind))
            || LOCAL.contains(&kind)
    }

    /// Whether it may take for ever to answer: what has no disk may have a server, or a program.
    pub(super) fn may_hang(&self) -> bool {
        let no_disk = self.device.0 == 0 && !LOCAL.contains(&&*self.kind) && self.path != "/";
        no_disk || self.beneath || self.is_remote()
    }

    /// Whether it is known to wait for a server or a program.
    pub(super) fn is_remote(&self) -> bool {
        self.path != "/" && REMOTE.iter().any(|kind| self.kind.starts_with(kind))
    }
}
