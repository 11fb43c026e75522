//! The space of file systems, by `statvfs` of what `/proc/self/mountinfo` lists.
//!
//! Asking a file system about its space may hang, as with a server that is away or a disk that does not answer: so
//! this is a source of its own, and what comes over a network is not asked unless the settings say so. The list is
//! taken apart only when it changed.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::filters::{NameFilter, matches};
use crate::sampler::count;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample, Watched};
use crate::sampler::snapshot::FileSystemSnapshot;
use crate::sampler::text::{Files, fields, lines, number};
use crate::signal::{SYSTEM_FILESYSTEM_LIMIT, SYSTEM_FILESYSTEM_USAGE, SYSTEM_FILESYSTEM_UTILIZATION};

/// Types without a block device of their own that are local disks all the same.
const LOCAL: [&str; 4] = ["btrfs", "zfs", "bcachefs", "ubifs"];
/// Types on a block device that are images, full by nature.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];

/// Reads the file systems.
#[derive(Debug)]
pub(in crate::sampler) struct FileSystems {
    files: Files,
    by_mount_point: NameFilter,
    by_type: NameFilter,
    /// The list as it was when it was taken apart.
    list: Vec<u8>,
    mounts: Vec<Mount>,
}

/// A file system that is reported.
#[derive(Debug)]
struct Mount {
    path: CString,
    entry: Entry,
    which: Arc<str>,
    whole: Labels,
    used: Labels,
    free: Labels,
    reserved: Labels,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Major and minor number; the major one is 0 where there is no block device.
    device: (u64, u64),
    /// Whether all of the file system is mounted there, and not a part of it.
    whole: bool,
    path: Vec<u8>,
    read_only: bool,
    kind: String,
    source: String,
}

/// Bytes.
#[derive(Clone, Copy)]
struct Space {
    used: u64,
    /// What those without privileges may have.
    free: u64,
    /// What only the superuser may have.
    reserved: u64,
}

impl FileSystems {
    pub(in crate::sampler) fn below(root: &Path, by_mount_point: NameFilter, by_type: NameFilter) -> Self {
        Self { files: Files::below(root), by_mount_point, by_type, list: Vec::new(), mounts: Vec::new() }
    }

    fn refresh(&mut self) -> Result<&[Mount], ProbeError> {
        let list = self
            .files
            .read("proc/self/mountinfo")
            .map_err(|error| ProbeError(format!("/proc/self/mountinfo: {error}").into()))?;
        if list != self.list {
            list.clone_into(&mut self.list);
            let entries = reported(list, &self.by_mount_point, &self.by_type);
            self.mounts = entries.into_iter().filter(is_there).filter_map(Mount::new).collect();
        }
        Ok(&self.mounts)
    }

    pub(in crate::sampler) fn snapshots(&mut self) -> Vec<FileSystemSnapshot> {
        let of = |mount: &Mount| {
            let space = Space::of(mount)?;
            Some(FileSystemSnapshot {
                mount_point: mount.which.to_string(),
                device: mount.entry.source.clone(),
                kind: mount.entry.kind.clone(),
                read_only: mount.entry.read_only,
                limit: space.limit(),
                used: space.used,
                free: space.free,
            })
        };
        self.refresh().map(|mounts| mounts.iter().filter_map(of).collect()).unwrap_or_default()
    }
}

impl Probe for FileSystems {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        for mount in self.refresh()? {
            // One that cannot be asked, because it is just being unmounted or not ours to see, is not there.
            let Some(space) = Space::of(mount) else { continue };
            sample.with(&SYSTEM_FILESYSTEM_LIMIT, count(space.limit()), &mount.whole);
            sample.with(&SYSTEM_FILESYSTEM_USAGE, count(space.used), &mount.used);
            sample.with(&SYSTEM_FILESYSTEM_USAGE, count(space.free), &mount.free);
            sample.with(&SYSTEM_FILESYSTEM_USAGE, count(space.reserved), &mount.reserved);
            if let Some(share) = space.utilization() {
                sample.with(&SYSTEM_FILESYSTEM_UTILIZATION, share, &mount.used);
                if !mount.entry.read_only {
                    sample.watch_host(Watched::Disk, Some(&mount.which), share);
                }
            }
        }
        Ok(())
    }
}

impl Space {
    /// `None` where it cannot be asked, and for one that holds nothing by nature.
    fn of(mount: &Mount) -> Option<Self> {
        let space = rustix::fs::statvfs(&*mount.path).ok().filter(|space| space.f_blocks > 0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        // Some count what is free for all larger than what is free.
        let free = space.f_bavail.min(space.f_bfree);
        Some(Self {
            used: bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            free: bytes(free),
            reserved: bytes(space.f_bfree - free),
        })
    }

    fn limit(&self) -> u64 {
        self.used.saturating_add(self.free).saturating_add(self.reserved)
    }

    /// Of what those without privileges may have, as `df` has it.
    fn utilization(&self) -> Option<f64> {
        let all = self.used.saturating_add(self.free);
        (all > 0).then(|| count(self.used) / count(all))
    }
}

impl Mount {
    fn new(entry: Entry) -> Option<Self> {
        let which = String::from_utf8_lossy(&entry.path).into_owned();
        let mode = if entry.read_only { "ro" } else { "rw" };
        let labels = |state: Option<&str>| {
            let labels = [
                Some(("system.device", &*entry.source)),
                Some(("system.filesystem.mode", mode)),
                Some(("system.filesystem.mountpoint", &*which)),
                state.map(|state| ("system.filesystem.state", state)),
                Some(("system.filesystem.type", &*entry.kind)),
            ];
            Labels::new(labels.into_iter().flatten())
        };
        Some(Self {
            path: CString::new(&*entry.path).ok()?,
            whole: labels(None),
            used: labels(Some("used")),
            free: labels(Some("free")),
            reserved: labels(Some("reserved")),
            which: which.into(),
            entry,
        })
    }
}

/// Whether the path leads to this file system, and not to a single file or to what was mounted over it.
fn is_there(entry: &Entry) -> bool {
    let Ok(metadata) = std::fs::metadata(OsStr::from_bytes(&entry.path)) else { return false };
    let device = metadata.dev();
    let same = (u64::from(rustix::fs::major(device)), u64::from(rustix::fs::minor(device))) == entry.device;
    // Those without a block device may give each part of themselves a number.
    metadata.is_dir() && (same || entry.device.0 == 0)
}

/// What the settings take, each file system once: where all of it is mounted, else at the shortest path.
fn reported(list: &[u8], by_mount_point: &NameFilter, by_type: &NameFilter) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in lines(list).filter_map(Entry::parse) {
        // The later one hides the earlier one.
        entries.retain(|other| other.path != entry.path);
        entries.push(entry);
    }
    entries.retain(|entry| {
        by_mount_point
            .decide(&String::from_utf8_lossy(&entry.path))
            .or_else(|| by_type.decide(&entry.kind))
            .unwrap_or_else(|| entry.is_local())
    });
    let mut chosen: Vec<Entry> = Vec::new();
    for entry in entries {
        match chosen.iter_mut().find(|other| other.is_same(&entry)) {
            None => chosen.push(entry),
            Some(other) if (!entry.whole, entry.path.len()) < (!other.whole, other.path.len()) => {
                *other = entry
            }
            Some(_) => {}
        }
    }
    chosen
}

impl Entry {
    /// `36 35 98:0 /part /path rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = fields(line).skip(2);
        let device = fields.next()?;
        let colon = memchr::memchr(b':', device)?;
        let device = (number(&device[..colon])?, number(&device[colon + 1..])?);
        let whole = fields.next()? == b"/";
        let path = unescaped(fields.next()?);
        let options = fields.next()?;
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = String::from_utf8_lossy(fields.next()?).into_owned();
        let source = String::from_utf8_lossy(&unescaped(fields.next()?)).into_owned();
        let read_only = [Some(options), fields.next()]
            .into_iter()
            .flatten()
            .any(|options| options.split(|byte| *byte == b',').any(|option| option == b"ro"));
        // Of `user:password@host`, the host.
        let source = source.rsplit_once('@').map_or(&*source, |(_, host)| host).to_owned();
        Some(Self { device, whole, path, read_only, kind, source })
    }

    fn is_local(&self) -> bool {
        let any = |kinds: &[&str]| kinds.iter().any(|kind| matches(kind, &self.kind));
        // The root of a container is an overlay, and all that the container sees of the disk below.
        self.path == b"/" && !matches("rootfs", &self.kind)
            || (self.device.0 != 0 && !any(&IMAGES))
            || any(&LOCAL)
    }

    /// Whether both are one file system, and have one space.
    fn is_same(&self, other: &Self) -> bool {
        // A subvolume has a number of its own, and the device of all.
        if self.kind == "btrfs" { self.source == other.source } else { self.device == other.device }
    }
}

/// Blanks, line ends and backslashes in a path are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while let Some(&byte) = field.get(at) {
        let digits = field.get(at + 1..at + 4).filter(|digits| {
            byte == b'\\' && digits[0] <= b'3' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0, |byte, digit| byte * 8 + (digit - b'0')));
                at += 4;
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}
