//! Disks, from `/proc/diskstats`.
//!
//! A byte that a program writes may pass through a file system on an encrypted volume on a partition of a disk of an
//! array, and each of these counts it. Reported are the disks at the bottom, so that their sum is what was written.

use std::path::Path;

use super::filters::{NameFilter, matches};
use crate::sampler::count;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample};
use crate::sampler::snapshot::DiskSnapshot;
use crate::sampler::text::{Files, fields, lines, number};
use crate::signal::{
    SYSTEM_DISK_IO, SYSTEM_DISK_IO_TIME, SYSTEM_DISK_MERGED, SYSTEM_DISK_OPERATION_TIME,
    SYSTEM_DISK_OPERATIONS,
};

/// In `/proc/diskstats`, whatever the disk's own sectors are.
const SECTOR: u64 = 512;
/// What lies in memory or on other disks, and drives whose medium comes and goes.
const VIRTUAL: [&str; 8] = ["loop*", "ram*", "zram*", "dm-*", "md*", "zd*", "sr*", "fd*"];

/// Reads the disks.
#[derive(Debug)]
pub(in crate::sampler) struct Disks {
    files: Files,
    /// Another buffer: what is looked up in `/sys` must not overwrite what was read.
    sys: Files,
    filter: NameFilter,
    known: Vec<Disk>,
}

#[derive(Debug)]
struct Disk {
    name: Box<[u8]>,
    /// `None` for one that is not reported.
    labels: Option<DiskLabels>,
}

#[derive(Debug)]
struct DiskLabels {
    device: Labels,
    read: Labels,
    write: Labels,
}

/// One direction.
struct Done {
    operations: u64,
    merged: u64,
    sectors: u64,
    millis: u64,
}

impl Disks {
    pub(in crate::sampler) fn below(root: &Path, filter: NameFilter) -> Self {
        Self { files: Files::below(root), sys: Files::below(root), filter, known: Vec::new() }
    }

    /// Calls `take` with each disk that is reported.
    fn each(&mut self, mut take: impl FnMut(&DiskLabels, Done, Done, u64)) -> Result<(), ProbeError> {
        let Self { files, sys, filter, known } = self;
        let text = files
            .read("proc/diskstats")
            .map_err(|error| ProbeError(format!("/proc/diskstats: {error}").into()))?;
        if !rows(text).map(|(name, _)| name).eq(known.iter().map(|disk| &*disk.name)) {
            *known = recognize(text, sys, filter);
        }
        for ((_, numbers), disk) in rows(text).zip(known) {
            let (Some(labels), Some(numbers)) = (&disk.labels, numbers) else { continue };
            let [r_ops, r_merged, r_sectors, r_ms, w_ops, w_merged, w_sectors, w_ms, _, busy] = numbers;
            take(
                labels,
                Done { operations: r_ops, merged: r_merged, sectors: r_sectors, millis: r_ms },
                Done { operations: w_ops, merged: w_merged, sectors: w_sectors, millis: w_ms },
                busy,
            );
        }
        Ok(())
    }

    /// All of them together.
    pub(in crate::sampler) fn totals(&mut self) -> Option<DiskSnapshot> {
        let mut totals = DiskSnapshot { disks: 0, read: 0, written: 0, reads: 0, writes: 0 };
        self.each(|_, read, write, _| {
            totals.disks += 1;
            totals.read = totals.read.saturating_add(read.sectors.saturating_mul(SECTOR));
            totals.written = totals.written.saturating_add(write.sectors.saturating_mul(SECTOR));
            totals.reads = totals.reads.saturating_add(read.operations);
            totals.writes = totals.writes.saturating_add(write.operations);
        })
        .ok()?;
        Some(totals)
    }
}

impl Probe for Disks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.each(|labels, read, write, busy| {
            for (done, labels) in [(read, &labels.read), (write, &labels.write)] {
                sample.with(&SYSTEM_DISK_IO, count(done.sectors.saturating_mul(SECTOR)), labels);
                sample.with(&SYSTEM_DISK_OPERATIONS, count(done.operations), labels);
                sample.with(&SYSTEM_DISK_MERGED, count(done.merged), labels);
                sample.with(&SYSTEM_DISK_OPERATION_TIME, count(done.millis) / 1_000.0, labels);
            }
            sample.with(&SYSTEM_DISK_IO_TIME, count(busy) / 1_000.0, &labels.device);
        })
    }
}

/// Names and figures; a line that is too short or holds anything else than numbers has no figures.
fn rows(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<[u64; 10]>)> {
    lines(text).filter_map(|line| {
        let mut fields = fields(line).skip(2);
        let name = fields.next()?;
        let mut numbers = [0; 10];
        let mut whole = true;
        for place in &mut numbers {
            match fields.next().and_then(number) {
                Some(number) => *place = number,
                None => whole = false,
            }
        }
        Some((name, whole.then_some(numbers)))
    })
}

fn recognize(text: &[u8], sys: &mut Files, filter: &NameFilter) -> Vec<Disk> {
    let by_sys = sys.path("sys/block").is_dir();
    rows(text)
        .map(|(name, _)| {
            let text_name = String::from_utf8_lossy(name);
            let taken = filter.decide(&text_name).unwrap_or_else(|| {
                if VIRTUAL.iter().any(|pattern| matches(pattern, &text_name)) {
                    false
                } else if by_sys {
                    is_device(sys, &text_name)
                } else {
                    !is_partition(name, text)
                }
            });
            Disk { name: name.into(), labels: taken.then(|| DiskLabels::new(&text_name)) }
        })
        .collect()
}

/// A whole disk that belongs to a device; partitions have no entry there, and one path of several to a disk is hidden.
fn is_device(sys: &mut Files, name: &str) -> bool {
    // A slash in a name is written like this in a path.
    let name = name.replace('/', "!");
    sys.path(&format!("sys/block/{name}/device")).exists()
        && sys.number(&format!("sys/block/{name}/hidden")) != Some(1)
}

/// Whether the name is that of another disk with a number after it: `sda1`, `nvme0n1p1`.
fn is_partition(name: &[u8], text: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let disk = &name[..name.len() - digits];
    let disk_p = disk.strip_suffix(b"p").filter(|disk| disk.last().is_some_and(u8::is_ascii_digit));
    digits > 0 && rows(text).any(|(other, _)| other == disk || Some(other) == disk_p)
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
