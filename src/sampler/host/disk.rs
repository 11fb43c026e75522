//! Disks, from `/proc/diskstats`.
//!
//! A byte that a program writes may pass through a file system on an encrypted volume on a partition of a disk of an
//! array, and each of these counts it. Reported are the disks at the bottom, so that their sum is what was written.

use std::path::Path;

use procfs::DiskStat;

use super::filters::{NameFilter, matches};
use crate::sampler::count;
use crate::sampler::files::Files;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample};
use crate::sampler::snapshot::DiskSnapshot;
use crate::signal::{
    SYSTEM_DISK_IO, SYSTEM_DISK_IO_TIME, SYSTEM_DISK_MERGED, SYSTEM_DISK_OPERATION_TIME,
    SYSTEM_DISK_OPERATIONS,
};

/// In `/proc/diskstats`, whatever the disk's own sectors are.
const SECTOR: u64 = 512;
/// What lies in memory or on other disks, and drives whose medium comes and goes.
const VIRTUAL: [&str; 8] = ["loop*", "ram*", "zram*", "dm-*", "md*", "zd*", "sr*", "fd*"];

/// Reads the disks.
#[derive(Debug, Default)]
pub(in crate::sampler) struct Disks {
    files: Files,
    filter: NameFilter,
    /// Those that were listed last; without labels the ones that are not reported.
    known: Vec<(String, Option<DiskLabels>)>,
}

#[derive(Debug)]
struct DiskLabels {
    device: Labels,
    read: Labels,
    write: Labels,
}

impl Disks {
    pub(in crate::sampler) fn below(root: &Path, filter: NameFilter) -> Self {
        Self { files: Files::below(root), filter, known: Vec::new() }
    }

    /// Calls `take` with each disk that is reported. A line that `procfs` cannot take apart is left out.
    fn each(&mut self, mut take: impl FnMut(&DiskLabels, &DiskStat)) -> Result<(), ProbeError> {
        let disks: Vec<_> = self
            .files
            .read("proc/diskstats")?
            .lines()
            .filter_map(|line| DiskStat::from_line(line).ok())
            .collect();
        if !disks.iter().map(|disk| &disk.name).eq(self.known.iter().map(|(name, _)| name)) {
            self.known = disks
                .iter()
                .map(|DiskStat { name, .. }| {
                    let taken =
                        self.filter.decide(name).unwrap_or_else(|| is_device(name, &disks, &self.files));
                    (name.clone(), taken.then(|| DiskLabels::new(name)))
                })
                .collect();
        }
        for (disk, (_, labels)) in disks.iter().zip(&self.known) {
            if let Some(labels) = labels {
                take(labels, disk);
            }
        }
        Ok(())
    }

    /// All of them together.
    pub(in crate::sampler) fn totals(&mut self) -> Option<DiskSnapshot> {
        let mut totals = DiskSnapshot { disks: 0, read: 0, written: 0, reads: 0, writes: 0 };
        self.each(|_, disk| {
            totals.disks += 1;
            totals.read = totals.read.saturating_add(disk.sectors_read.saturating_mul(SECTOR));
            totals.written = totals.written.saturating_add(disk.sectors_written.saturating_mul(SECTOR));
            totals.reads = totals.reads.saturating_add(disk.reads);
            totals.writes = totals.writes.saturating_add(disk.writes);
        })
        .ok()?;
        Some(totals)
    }
}

impl Probe for Disks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.each(|labels, disk| {
            let DiskStat { sectors_read, reads, merged, time_reading, .. } = *disk;
            let DiskStat { sectors_written, writes, writes_merged, time_writing, .. } = *disk;
            for (sectors, operations, merged, millis, labels) in [
                (sectors_read, reads, merged, time_reading, &labels.read),
                (sectors_written, writes, writes_merged, time_writing, &labels.write),
            ] {
                sample.with(&SYSTEM_DISK_IO, count(sectors.saturating_mul(SECTOR)), labels);
                sample.with(&SYSTEM_DISK_OPERATIONS, count(operations), labels);
                sample.with(&SYSTEM_DISK_MERGED, count(merged), labels);
                sample.with(&SYSTEM_DISK_OPERATION_TIME, count(millis) / 1_000.0, labels);
            }
            sample.with(&SYSTEM_DISK_IO_TIME, count(disk.time_in_progress) / 1_000.0, &labels.device);
        })
    }
}

/// Whether this is a whole disk at the bottom: partitions have no entry of a device in `/sys`, and one path of several
/// to a disk is hidden. Without `/sys` the names tell partitions.
fn is_device(name: &str, disks: &[DiskStat], files: &Files) -> bool {
    if VIRTUAL.iter().any(|pattern| matches(pattern, name)) {
        return false;
    }
    if !files.path("sys/block").is_dir() {
        return !is_partition(name, disks);
    }
    // A slash in a name is written like this in a path.
    let folder = files.path("sys/block").join(name.replace('/', "!"));
    let hidden = std::fs::read_to_string(folder.join("hidden"));
    folder.join("device").exists() && !hidden.is_ok_and(|hidden| hidden.trim_ascii() == "1")
}

/// Whether the name is that of another disk with a number after it: `sda1`, `nvme0n1p1`.
fn is_partition(name: &str, disks: &[DiskStat]) -> bool {
    let disk = name.trim_end_matches(|sign: char| sign.is_ascii_digit());
    let disk_p = disk.strip_suffix('p').filter(|disk| disk.ends_with(|sign: char| sign.is_ascii_digit()));
    disk != name && disks.iter().any(|other| other.name == disk || Some(&*other.name) == disk_p)
}

impl DiskLabels {
    fn new(name: &str) -> Self {
        let direction = |direction| Labels::new([("disk.io.direction", direction), ("system.device", name)]);
        Self {
            device: Labels::new([("system.device", name)]),
            read: direction("read"),
            write: direction("write"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{devices, one, read, tree, write};
    use super::*;

    const STATS: &str = "   7       0 loop0 5 0 10 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 259       0 nvme0n1 100 20 3000 400 500 60 7000 800 0 900 1000 1 2 3 4 5 6
 259       1 nvme0n1p1 50 10 1500 200 250 30 3500 400 0 450 500
 253       0 dm-0 100 0 3000 400 500 0 7000 800 0 900 1000
   9       0 md0 100 0 3000 400 500 0 7000 800 0 900 1000
 253       1 zram0 1 0 8 0 0 0 0 0 0 0 0
 104       0 cciss/c0d0 1 0 8 0 2 0 16 0 0 0 0
 259       3 nvme1c0n1 1 0 8 0 0 0 0 0 0 0 0
  11       0 sr0 0 0 0 0 0 0 0 0 0 0 0
   8       0 sda 1 0 8
   8      16 sdb 1 0 8 x 0 0 0 0 0 0 0
";
    const SYS: [(&str, &str); 6] = [
        ("sys/block/nvme0n1/device/", ""),
        ("sys/block/cciss!c0d0/device/", ""),
        ("sys/block/nvme1c0n1/device/", ""),
        ("sys/block/nvme1c0n1/hidden", "1\n"),
        ("sys/block/sda/device/", ""),
        ("sys/block/sdb/device/", ""),
    ];

    fn disks(files: &[(&str, &str)], filter: &[&str]) -> (tempfile::TempDir, Disks) {
        let root = tree(&[("proc/diskstats", STATS)]);
        files.iter().for_each(|(name, content)| write(&root, name, content));
        let disks = Disks::below(root.path(), NameFilter::new(filter.iter().copied()));
        (root, disks)
    }

    #[test]
    fn p41_whole_disks_are_counted_once_and_malformed_lines_are_left_out() {
        let (_root, mut disks) = disks(&SYS, &[]);
        let seen = read(&mut disks);
        assert_eq!(devices(&seen, SYSTEM_DISK_IO.name, 1), ["nvme0n1", "cciss/c0d0"]);
        assert_eq!(one(&seen, "system.disk.io read nvme0n1"), Some(3000.0 * 512.0));
        assert_eq!(one(&seen, "system.disk.io write nvme0n1"), Some(7000.0 * 512.0));
        assert_eq!(one(&seen, "system.disk.operations write nvme0n1"), Some(500.0));
        assert_eq!(one(&seen, "system.disk.merged read nvme0n1"), Some(20.0));
        assert_eq!(one(&seen, "system.disk.operation_time write nvme0n1"), Some(0.8));
        assert_eq!(one(&seen, "system.disk.io_time nvme0n1"), Some(0.9));
        let totals = disks.totals().unwrap();
        assert_eq!((totals.disks, totals.reads, totals.writes), (2, 101, 502));
        assert_eq!((totals.read, totals.written), (3008 * 512, 7016 * 512));
    }

    #[test]
    fn p41_without_sys_the_names_tell_partitions() {
        let (_root, mut disks) = disks(&[], &[]);
        let found = devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1);
        assert_eq!(found, ["nvme0n1", "cciss/c0d0", "nvme1c0n1"]);
    }

    #[test]
    fn the_filter_goes_before_the_rule() {
        let (_root, mut disks) = disks(&SYS, &["loop*", "!nvme*"]);
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["loop0", "cciss/c0d0"]);
    }

    #[test]
    fn p41_a_disk_that_goes_away_takes_its_series_away() {
        let (root, mut disks) = disks(&SYS, &[]);
        read(&mut disks);
        let without: Vec<_> = STATS.lines().filter(|line| !line.contains("nvme0n1 ")).collect();
        write(&root, "proc/diskstats", &without.join("\n"));
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["cciss/c0d0"]);
        write(&root, "proc/diskstats", STATS);
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["nvme0n1", "cciss/c0d0"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_an_empty_one_is_none() {
        let root = tree(&[("proc/diskstats/", "")]);
        let mut disks = Disks::below(root.path(), NameFilter::default());
        assert!(disks.sample(&mut Sample::default()).unwrap_err().to_string().contains("/proc/diskstats"));
        let root = tree(&[("proc/diskstats", "")]);
        assert_eq!(read(&mut Disks::below(root.path(), NameFilter::default())), []);
    }
}
