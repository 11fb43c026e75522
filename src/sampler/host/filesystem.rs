//! The space of file systems, by `statvfs` of what `/proc/self/mountinfo` lists.
//!
//! Asking a file system about its space may hang, as with a server that is away or a disk that does not answer: so
//! this is a source of its own, and what comes over a network is not asked unless the settings say so. The list is
//! taken apart only when it changed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use procfs::process::MountInfo;

use super::filters::NameFilter;
use crate::sampler::count;
use crate::sampler::files::Files;
use crate::sampler::mounts::mounts;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample, Watched};
use crate::sampler::snapshot::FileSystemSnapshot;
use crate::signal::{SYSTEM_FILESYSTEM_LIMIT, SYSTEM_FILESYSTEM_USAGE, SYSTEM_FILESYSTEM_UTILIZATION};

/// Types without a block device of their own that are local disks all the same.
const LOCAL: [&str; 4] = ["btrfs", "zfs", "bcachefs", "ubifs"];
/// Types on a block device that are images, full by nature.
const IMAGES: [&str; 6] = ["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];

/// Reads the file systems.
#[derive(Debug, Default)]
pub(in crate::sampler) struct FileSystems {
    files: Files,
    by_mount_point: NameFilter,
    by_type: NameFilter,
    /// The list as it was when it was taken apart.
    list: String,
    mounts: Vec<Mount>,
}

/// A file system that is reported.
#[derive(Debug)]
struct Mount {
    entry: Entry,
    which: Arc<str>,
    whole: Labels,
    /// Of what is used, free and reserved.
    states: [Labels; 3],
}

/// A line of the list.
#[derive(Debug)]
struct Entry {
    /// Major and minor number; the major one is 0 where there is no block device.
    device: (u32, u32),
    /// Whether all of the file system is mounted there, and not a part of it.
    whole: bool,
    path: String,
    read_only: bool,
    kind: String,
    source: String,
}

impl FileSystems {
    pub(in crate::sampler) fn below(root: &Path, by_mount_point: NameFilter, by_type: NameFilter) -> Self {
        Self { files: Files::below(root), by_mount_point, by_type, list: String::new(), mounts: Vec::new() }
    }

    fn refresh(&mut self) -> Result<&[Mount], ProbeError> {
        let list = self.files.read("proc/self/mountinfo")?;
        if list != self.list {
            self.list = list.into_owned();
            let entries = reported(&self.list, &self.by_mount_point, &self.by_type);
            self.mounts = entries.into_iter().filter(is_there).map(Mount::new).collect();
        }
        Ok(&self.mounts)
    }

    pub(in crate::sampler) fn snapshots(&mut self) -> Vec<FileSystemSnapshot> {
        self.refresh()
            .map_or(Vec::new(), |mounts| mounts.iter().filter_map(|mount| mount.entry.ask()).collect())
    }
}

impl Probe for FileSystems {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        for mount in self.refresh()? {
            // One that cannot be asked, because it is just being unmounted or not ours to see, is not there.
            let Some(space) = mount.entry.ask() else { continue };
            let reserved = space.limit.saturating_sub(space.used).saturating_sub(space.free);
            sample.with(&SYSTEM_FILESYSTEM_LIMIT, count(space.limit), &mount.whole);
            for (bytes, labels) in [space.used, space.free, reserved].into_iter().zip(&mount.states) {
                sample.with(&SYSTEM_FILESYSTEM_USAGE, count(bytes), labels);
            }
            if space.used.saturating_add(space.free) > 0 {
                sample.with(&SYSTEM_FILESYSTEM_UTILIZATION, space.utilization(), &mount.states[0]);
                if !space.read_only {
                    sample.watch_host(Watched::Disk, Some(&mount.which), space.utilization());
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
            which: entry.path.as_str().into(),
            entry,
        }
    }
}

/// Whether the path leads to this file system, and not to a single file or to what was mounted over it.
fn is_there(entry: &Entry) -> bool {
    let Ok(metadata) = std::fs::metadata(&entry.path) else { return false };
    let device = metadata.dev();
    let same = (rustix::fs::major(device), rustix::fs::minor(device)) == entry.device;
    // Those without a block device may give each part of themselves a number.
    metadata.is_dir() && (same || entry.device.0 == 0)
}

/// What the settings take, each file system once: where all of it is mounted, else at the shortest path.
fn reported(list: &str, by_mount_point: &NameFilter, by_type: &NameFilter) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in mounts(list).filter_map(Entry::new) {
        // The later one hides the earlier one.
        entries.retain(|other| other.path != entry.path);
        entries.push(entry);
    }
    entries.retain(|entry| {
        by_mount_point
            .decide(&entry.path)
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
    fn new(mount: MountInfo) -> Option<Self> {
        let (major, minor) = mount.majmin.split_once(':')?;
        // The kernel says `none` where there is no source.
        let source = mount.mount_source.as_deref().unwrap_or("none");
        Some(Self {
            device: (major.parse().ok()?, minor.parse().ok()?),
            whole: mount.root == "/",
            path: mount.mount_point.to_str()?.to_owned(),
            read_only: mount.mount_options.contains_key("ro") || mount.super_options.contains_key("ro"),
            kind: mount.fs_type,
            // Of `user:password@host`, the host.
            source: source.rsplit_once('@').map_or(source, |(_, host)| host).to_owned(),
        })
    }

    /// Its space in bytes. `None` where it cannot be asked, and for one that holds nothing by nature.
    fn ask(&self) -> Option<FileSystemSnapshot> {
        let space = rustix::fs::statvfs(&*self.path).ok().filter(|space| space.f_blocks > 0)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Some(FileSystemSnapshot {
            mount_point: self.path.clone(),
            device: self.source.clone(),
            kind: self.kind.clone(),
            read_only: self.read_only,
            limit: bytes(space.f_blocks.max(space.f_bfree)),
            used: bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            // Some count what is free for all larger than what is free.
            free: bytes(space.f_bavail.min(space.f_bfree)),
        })
    }

    fn is_local(&self) -> bool {
        let kind = &*self.kind;
        // The root of a container is an overlay, and all that the container sees of the disk below.
        self.path == "/" && kind != "rootfs"
            || (self.device.0 != 0 && !IMAGES.contains(&kind))
            || LOCAL.contains(&kind)
    }

    /// Whether both are one file system, and have one space.
    fn is_same(&self, other: &Self) -> bool {
        // A subvolume has a number of its own, and the device of all.
        if self.kind == "btrfs" { self.source == other.source } else { self.device == other.device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, device, type and source of what is reported.
    fn chosen(list: &str, by_mount_point: &[&str], by_type: &[&str]) -> Vec<String> {
        let filter = |patterns: &[&str]| NameFilter::new(patterns.iter().copied());
        reported(list, &filter(by_mount_point), &filter(by_type))
            .iter()
            .map(|entry| format!("{} {} {}", entry.path, entry.kind, entry.source))
            .collect()
    }

    const MACHINE: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw
23 27 0:22 / /sys rw,relatime shared:7 - sysfs sysfs rw
24 27 0:6 / /dev rw - devtmpfs devtmpfs rw,size=12334524k
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw
31 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,discard
32 31 7:0 / /snap/core/1 ro,nodev - squashfs /dev/loop0 ro
33 31 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw
34 31 0:30 /@home /home rw - btrfs /dev/sdb1 rw,subvol=/@home
35 31 0:30 /@ /mnt/all\\040of\\134it rw - btrfs /dev/sdb1 rw,subvol=/@
36 31 0:41 / /srv rw - nfs4 server:/srv rw
37 31 0:42 / /remote rw - fuse.sshfs user:secret@host:/x rw
38 31 259:2 /var/lib/docker /mnt/bind rw - ext4 /dev/nvme0n1p2 rw
39 31 0:50 / /tank ro,noatime - zfs tank rw
40 31 0:60 / /var/lib/docker/overlay2/merged rw - overlay overlay rw,lowerdir=/a:/b
";

    #[test]
    fn p41_a_machine_reports_its_local_disks_once() {
        let expected = [
            "/ ext4 /dev/nvme0n1p2",
            "/boot/efi vfat /dev/nvme0n1p1",
            "/home btrfs /dev/sdb1",
            "/tank zfs tank",
        ];
        assert_eq!(chosen(MACHINE, &[], &[]), expected);
    }

    #[test]
    fn settings_take_in_and_leave_out_by_type_and_by_mount_point() {
        let chosen = chosen(MACHINE, &["!/boot/*", "/dev/shm"], &["nfs*", "fuse.*", "!btrfs"]);
        let expected = [
            "/dev/shm tmpfs tmpfs",
            "/ ext4 /dev/nvme0n1p2",
            "/srv nfs4 server:/srv",
            "/remote fuse.sshfs host:/x",
            "/tank zfs tank",
        ];
        assert_eq!(chosen, expected);
    }

    #[test]
    fn p41_a_container_reports_its_root_and_its_volumes() {
        let list = "600 500 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
601 600 0:58 / /proc rw - proc proc rw
602 600 0:59 / /dev rw - tmpfs tmpfs rw
603 600 254:1 /volumes/data /data rw - ext4 /dev/vda1 rw
604 600 254:1 /containers/1/hosts /etc/hosts rw - ext4 /dev/vda1 rw
";
        let found = chosen(list, &[], &[]);
        assert_eq!(found, ["/ overlay overlay", "/data ext4 /dev/vda1"]);
    }

    #[test]
    fn the_mount_on_top_counts() {
        let list = "1 0 8:1 / /x rw - ext4 /dev/sda1 rw\n2 1 8:2 / /x ro - xfs /dev/sda2 rw\n";
        assert_eq!(chosen(list, &[], &[]), ["/x xfs /dev/sda2"]);
        assert!(reported(list, &NameFilter::default(), &NameFilter::default())[0].read_only);
    }

    #[test]
    fn malformed_lines_are_left_out() {
        for bad in [
            "",
            "1 2",
            "1 2 8:1 / /x rw - ext4",
            "1 2 8 / /x rw - ext4 /dev/sda1 rw",
            "1 2 8:1 / /x rw ext4 /dev/sda1 rw",
            "\u{0}",
        ] {
            assert_eq!(chosen(bad, &[], &["*"]), [""; 0], "{bad}");
        }
        // As a namespace of `pasta` has it.
        assert_eq!(chosen("1 2 0:47 / / ro - tmpfs  ro,size=0k", &[], &[]), ["/ tmpfs none"]);
    }

    #[test]
    fn a_file_or_what_lies_beneath_another_mount_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(folder.path()).unwrap();
        let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let entry = |path: &Path, device| Entry {
            device,
            whole: true,
            path: path.to_str().unwrap().to_owned(),
            read_only: false,
            kind: "ext4".into(),
            source: "/dev/x".into(),
        };
        assert!(is_there(&entry(folder.path(), device)));
        assert!(!is_there(&entry(&file, device)));
        assert!(!is_there(&entry(folder.path(), (device.0 + 1, 7))));
        assert!(!is_there(&entry(&folder.path().join("absent"), device)));
    }
}
