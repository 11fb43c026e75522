//! The space of file systems, by `statvfs` of what `/proc/self/mountinfo` lists.
//!
//! Shown is what `df` shows of local disks, each space once. What a mount hides, and what the settings leave out, goes
//! first; of the mounts that remain of one file system one is chosen: a folder before a single file, one that can be
//! written before one that cannot, all of it before a part, the short path before the long one. The list is taken apart
//! only when it changed, with a number of steps that grows as the list does.
//!
//! Asking a file system about its space may hang, as with a server that is away: so this is a source of its own, what
//! comes over a network is not asked unless the settings say so, and then each for itself.

mod space;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use procfs::process::MountInfo;

use self::space::{Asked, Space, Spaces};
use self::tree::{MountTree, Node};
use super::disk::too_many;
use super::filters::NameFilter;
use crate::sampler::count;
use crate::sampler::files::Files;
use crate::sampler::mounts::mounts;
use crate::sampler::probe::{Failures, Labels, Probe, ProbeError, Sample, Watched};
use crate::sampler::snapshot::FileSystemSnapshot;
use crate::signal::capacity::DEVICES;
use crate::signal::{SYSTEM_FILESYSTEM_LIMIT, SYSTEM_FILESYSTEM_USAGE, SYSTEM_FILESYSTEM_UTILIZATION};

/// Types without a block device of their own that are local disks all the same.
const LOCAL: [&str; 4] = ["btrfs", "zfs", "bcachefs", "ubifs"];
/// Types on a block device that are images, full by nature.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];
/// How types begin of what waits for a server or a program, with a block device of its own or without.
const REMOTE: [&str; 16] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "gluster", "gpfs", "lustre", "ncp", "nfs",
    "ocfs2", "smb", "virtiofs",
];
/// The type of what mounts something when it is asked.
const AUTOMOUNT: &str = "autofs";

/// Reads the file systems.
#[derive(Debug, Default)]
pub(in crate::sampler) struct FileSystems {
    files: Files,
    by_mount_point: NameFilter,
    by_type: NameFilter,
    /// The list as it was when it was taken apart.
    list: String,
    mounts: Vec<Mount>,
    /// Whether some of them found no room.
    too_many: bool,
    spaces: Spaces,
}

/// A file system that is reported.
#[derive(Debug)]
struct Mount {
    entry: Entry,
    asked: Asked,
    whole: Labels,
    /// Of what is used, free and reserved.
    states: [Labels; 3],
}

/// A line of the list.
#[derive(Debug)]
struct Entry {
    id: i64,
    /// The mount that it lies on.
    parent: i64,
    /// Major and minor number; the major one is 0 where there is no block device.
    device: (u32, u32),
    /// Whether all of the file system is mounted there, and not a part of it.
    whole: bool,
    path: String,
    read_only: bool,
    kind: String,
    source: String,
    /// Whether its path leads through what may take for ever to answer.
    beneath: bool,
}

/// What is found where a file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Folder,
    File,
    /// Nothing, or nothing that this process may look at, or another file system.
    Nothing,
}

impl FileSystems {
    pub(in crate::sampler) fn below(root: &Path, by_mount_point: NameFilter, by_type: NameFilter) -> Self {
        Self { files: Files::below(root), by_mount_point, by_type, ..Self::default() }
    }

    fn refresh(&mut self) -> Result<(), ProbeError> {
        let list = self.files.read("proc/self/mountinfo")?;
        if list != self.list {
            self.list = list.into_owned();
            let mut entries = reported(&self.list, &self.by_mount_point, &self.by_type, look);
            self.too_many = entries.len() > DEVICES;
            entries.truncate(DEVICES);
            self.mounts = entries.into_iter().map(Mount::new).collect();
        }
        Ok(())
    }

    /// The space of each. One that cannot be asked, because it is just being unmounted or not ours to see, has none.
    fn ask(&mut self, failures: &mut Failures) -> Result<Vec<Option<Space>>, ProbeError> {
        self.refresh()?;
        let mounts = self.mounts.iter().map(|mount| (&mount.asked, mount.entry.may_hang()));
        Ok(self.spaces.ask(mounts, failures))
    }

    pub(in crate::sampler) fn snapshots(&mut self) -> Vec<FileSystemSnapshot> {
        let spaces = self.ask(&mut Failures::default()).unwrap_or_default();
        let all = self.mounts.iter().zip(spaces);
        all.filter_map(|(mount, space)| Some(mount.entry.snapshot(space?))).collect()
    }
}

impl Probe for FileSystems {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let spaces = self.ask(&mut sample.failures)?;
        too_many(self.too_many, "file systems", &mut sample.failures);
        for (mount, space) in self.mounts.iter().zip(spaces) {
            let Some(space) = space.map(|space| mount.entry.snapshot(space)) else { continue };
            let reserved = space.limit.saturating_sub(space.used).saturating_sub(space.free);
            sample.with(&SYSTEM_FILESYSTEM_LIMIT, count(space.limit), &mount.whole);
            for (bytes, labels) in [space.used, space.free, reserved].into_iter().zip(&mount.states) {
                sample.with(&SYSTEM_FILESYSTEM_USAGE, count(bytes), labels);
            }
            if space.used.saturating_add(space.free) > 0 {
                sample.with(&SYSTEM_FILESYSTEM_UTILIZATION, space.utilization(), &mount.states[0]);
                if !space.read_only {
                    sample.watch_host(Watched::Disk, Some(&mount.asked.0), space.utilization());
                }
            }
        }
        Ok(())
    }
}

impl Mount {
    fn new(entry: Entry) -> Self {
        let mode = if entry.read_only { "ro" } else { "rw" };
        let labels = |state: Option<&str>| {
            let labels = [
                Some(("system.device", &*entry.source)),
                Some(("system.filesystem.mode", mode)),
                Some(("system.filesystem.mountpoint", &*entry.path)),
                state.map(|state| ("system.filesystem.state", state)),
                Some(("system.filesystem.type", &*entry.kind)),
            ];
            Labels::new(labels.into_iter().flatten())
        };
        Self {
            whole: labels(None),
            states: ["used", "free", "reserved"].map(|state| labels(Some(state))),
            asked: (entry.path.as_str().into(), entry.id),
            entry,
        }
    }
}

/// Looks whether the path leads to this file system, and not to what was mounted over it meanwhile.
fn look(entry: &Entry) -> Found {
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

/// The file systems that are reported, in the order of the list; `look` looks at a mount.
fn reported(
    list: &str,
    by_mount_point: &NameFilter,
    by_type: &NameFilter,
    mut look: impl FnMut(&Entry) -> Found,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = mounts(list).filter_map(Entry::new).collect();
    mark_beneath(&mut entries);
    let tree = MountTree::new(entries.iter().map(Entry::node));
    let taken = |entry: &Entry| {
        by_mount_point
            .decide(&entry.path)
            .or_else(|| by_type.decide(&entry.kind))
            .unwrap_or_else(|| entry.is_local())
    };
    // An automount point has no space, and to ask it for some may mount what is there.
    let wanted: Vec<bool> = entries
        .iter()
        .map(|entry| entry.kind != AUTOMOUNT && taken(entry) && tree.is_reached(entry.node()))
        .collect();
    drop(tree);
    // Mounts of one file system, which have one space.
    let mut places: HashMap<Identity, usize> = HashMap::new();
    let mut same: Vec<Vec<Entry>> = Vec::new();
    for (entry, _) in entries.into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
        let place = *places.entry(entry.identity()).or_insert(same.len());
        match same.get_mut(place) {
            Some(mounts) => mounts.push(entry),
            None => same.push(vec![entry]),
        }
    }
    same.into_iter()
        .filter_map(|mut mounts| {
            mounts.sort_by_key(|entry| (entry.read_only, !entry.whole, entry.path.len()));
            let mut file = None;
            for entry in mounts {
                match look(&entry) {
                    Found::Folder => return Some(entry),
                    Found::File => _ = file.get_or_insert(entry),
                    Found::Nothing => {}
                }
            }
            file
        })
        .collect()
}

/// Marks what lies on something that may take for ever to answer: the way to it leads through that.
fn mark_beneath(entries: &mut [Entry]) {
    if !entries.iter().any(Entry::is_remote) {
        return;
    }
    let below: HashMap<i64, (i64, bool)> =
        entries.iter().map(|entry| (entry.id, (entry.parent, entry.is_remote()))).collect();
    let (mut known, mut trail) = (HashMap::new(), Vec::new());
    for entry in entries {
        let mut here = entry.parent;
        // In a list that makes no sense, a mount may lie on itself.
        let beneath = loop {
            match (known.get(&here), below.get(&here)) {
                (Some(beneath), _) => break *beneath,
                (None, Some((parent, false))) if trail.len() <= below.len() => {
                    trail.push(here);
                    here = *parent;
                }
                (None, found) => break found.is_some_and(|(_, remote)| *remote),
            }
        };
        known.extend(trail.drain(..).map(|id| (id, beneath)));
        entry.beneath = beneath;
    }
}

/// What tells file systems apart.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    Device(u32, u32),
    /// A subvolume of btrfs has a number of its own, and the device of all.
    Source(String),
}

impl Entry {
    fn new(mount: MountInfo) -> Option<Self> {
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

    fn node(&self) -> Node<'_> {
        Node { id: self.id, parent: self.parent, path: &self.path }
    }

    fn identity(&self) -> Identity {
        match &*self.kind {
            "btrfs" => Identity::Source(self.source.clone()),
            _ => Identity::Device(self.device.0, self.device.1),
        }
    }

    fn snapshot(&self, space: Space) -> FileSystemSnapshot {
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

    fn is_local(&self) -> bool {
        let kind = &*self.kind;
        // The root of a container is an overlay, and all that the container sees of the disk below.
        self.path == "/" && kind != "rootfs"
            || (self.device.0 != 0 && !IMAGES.contains(&kind))
            || LOCAL.contains(&kind)
    }

    /// Whether it may take for ever to answer: what has no disk may have a server, or a program.
    fn may_hang(&self) -> bool {
        let no_disk = self.device.0 == 0 && !LOCAL.contains(&&*self.kind) && self.path != "/";
        no_disk || self.beneath || self.is_remote()
    }

    /// Whether it is known to wait for a server or a program.
    fn is_remote(&self) -> bool {
        self.path != "/" && REMOTE.iter().any(|kind| self.kind.starts_with(kind))
    }
}
