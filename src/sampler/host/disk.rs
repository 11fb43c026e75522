//! Disks, from `/proc/diskstats`.
//!
//! A written byte may pass an encrypted volume, a partition, an array and a disk, and each of these counts it. Only the
//! disks at the bottom are reported, so that their sum is what was written.

use std::path::Path;

use super::devices::{too_many, whole};
use super::filters::{NameFilter, matches};
use crate::base::clock;
use crate::sampler::counter::{Counters, Rules};
use crate::sampler::files::{Files, numbers};
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample, count};
use crate::sampler::snapshot::DiskSnapshot;
use crate::signal::capacity::DEVICES;
use crate::signal::{
    Metric, SYSTEM_DISK_IO, SYSTEM_DISK_IO_TIME, SYSTEM_DISK_MERGED, SYSTEM_DISK_OPERATION_TIME,
    SYSTEM_DISK_OPERATIONS,
};

/// The bytes of a sector in `/proc/diskstats`, independent of the sectors of the disk.
const SECTOR: f64 = 512.0;
/// Devices in memory or on other disks, and drives with removable media.
const VIRTUAL: [&str; 8] = ["loop*", "ram*", "zram*", "dm-*", "md*", "zd*", "sr*", "fd*"];

/// Reads the disks.
#[derive(Debug, Default)]
pub(in crate::sampler) struct Disks {
    files: Files,
    filter: NameFilter,
    /// The disks that were listed last. Those without labels are not reported.
    known: Vec<(String, Option<DiskLabels>)>,
    /// Whether there are more disks than are reported.
    too_many: bool,
    counters: Counters,
}

#[derive(Debug)]
struct DiskLabels {
    device: Labels,
    read: Labels,
    write: Labels,
}

/// The counters of a disk, in the order of the kernel.
type Figures = [Option<u64>; 10];

impl Disks {
    pub(in crate::sampler) fn below(root: &Path, filter: NameFilter) -> Self {
        Self { files: Files::below(root), filter, ..Self::default() }
    }

    /// Calls `take` with the values of each reported disk. Malformed values are left out.
    fn each(&mut self, mut take: impl FnMut(&'static Metric, &Labels, f64)) -> Result<(), ProbeError> {
        let text = self.files.read("proc/diskstats")?.into_owned();
        let disks: Vec<_> = text.lines().filter_map(disk).collect();
        if !disks.iter().map(|(name, _)| *name).eq(self.known.iter().map(|(name, _)| &**name)) {
            self.recognize(&disks.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        }
        let now = clock::now();
        for ((_, figures), (_, labels)) in disks.iter().zip(&self.known) {
            let Some(labels) = labels else { continue };
            let mut show = |metric, read: Option<u64>, unit, labels, rules| {
                let shown = self.counters.take(metric, read.map(count), labels, now, rules);
                shown.into_iter().for_each(|shown| take(metric, labels, shown * unit));
            };
            let [reads, merged_reads, read, reading, writes, merged_writes, written, writing, _, busy] =
                *figures;
            for (operations, merged, sectors, millis, labels) in [
                (reads, merged_reads, read, reading, &labels.read),
                (writes, merged_writes, written, writing, &labels.write),
            ] {
                // Milliseconds have 32 bits.
                show(&SYSTEM_DISK_IO, sectors, SECTOR, labels, &Rules::WIDE);
                show(&SYSTEM_DISK_OPERATIONS, operations, 1.0, labels, &Rules::WIDE);
                show(&SYSTEM_DISK_MERGED, merged, 1.0, labels, &Rules::WIDE);
                show(&SYSTEM_DISK_OPERATION_TIME, millis, 1e-3, labels, &Rules::NARROW);
            }
            show(&SYSTEM_DISK_IO_TIME, busy, 1e-3, &labels.device, &Rules::NARROW);
        }
        Ok(())
    }

    /// Decides which of the disks with these names are reported.
    fn recognize(&mut self, names: &[&str]) {
        let mut room = DEVICES;
        self.too_many = false;
        let recognize = |name: &&str| {
            let taken = self.filter.decide(name).unwrap_or_else(|| is_device(name, names, &self.files));
            let fits = taken && room > 0;
            room -= usize::from(fits);
            self.too_many |= taken && !fits;
            ((*name).to_owned(), fits.then(|| DiskLabels::new(name)))
        };
        self.known = names.iter().map(recognize).collect();
    }

    /// The sum of the reported disks.
    pub(in crate::sampler) fn totals(&mut self) -> Option<DiskSnapshot> {
        let (mut read, mut written, mut reads, mut writes) = (0.0, 0.0, 0.0, 0.0);
        self.each(|metric, labels, shown| {
            let is_write = labels.with(|labels| labels.contains(&("disk.io.direction", "write")));
            let total = if std::ptr::eq(metric, &raw const SYSTEM_DISK_IO) {
                if is_write { &mut written } else { &mut read }
            } else if std::ptr::eq(metric, &raw const SYSTEM_DISK_OPERATIONS) {
                if is_write { &mut writes } else { &mut reads }
            } else {
                return;
            };
            *total += shown;
        })
        .ok()?;
        let disks = self.known.iter().filter(|(_, labels)| labels.is_some()).count();
        let [read, written, reads, writes] = [read, written, reads, writes].map(whole);
        Some(DiskSnapshot { disks, read, written, reads, writes })
    }
}

impl Probe for Disks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.each(|metric, labels, shown| sample.with(metric, shown, labels))?;
        too_many(self.too_many, "disks", &mut sample.failures);
        Ok(())
    }
}

/// The name and the counters of a disk.
fn disk(line: &str) -> Option<(&str, Figures)> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.nth(2)?;
    // The rest of the line after the name, which contains no blank.
    let behind = name.as_ptr().addr() - line.as_ptr().addr() + name.len();
    let figures = numbers(&line[behind..]);
    // Old kernels have four other counters for a partition.
    (fields.count() >= 10).then_some((name, figures))
}

/// Whether this is a whole disk at the bottom. In `/sys`, a partition has no `device`, and the paths of a multipath
/// disk are hidden. Without `/sys`, partitions are recognized by their names.
fn is_device(name: &str, disks: &[&str], files: &Files) -> bool {
    if VIRTUAL.iter().any(|pattern| matches(pattern, name)) {
        return false;
    }
    if !files.path("sys/block").is_dir() {
        return !is_partition(name, disks);
    }
    // `/sys` replaces a slash in a name by an exclamation mark.
    let folder = files.path("sys/block").join(name.replace('/', "!"));
    let hidden = std::fs::read_to_string(folder.join("hidden"));
    folder.join("device").exists() && !hidden.is_ok_and(|hidden| hidden.trim_ascii() == "1")
}

/// Whether the name is that of another disk with a number after it: `sda1`, `nvme0n1p1`.
fn is_partition(name: &str, disks: &[&str]) -> bool {
    let disk = name.trim_end_matches(|sign: char| sign.is_ascii_digit());
    let disk_p = disk.strip_suffix('p').filter(|disk| disk.ends_with(|sign: char| sign.is_ascii_digit()));
    disk != name && disks.iter().any(|other| *other == disk || Some(*other) == disk_p)
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
   8      16 sdb 1 0 8 x 0 0 0 0 -1 0 0
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
        let disks = Disks::below(root.path(), NameFilter::new(filter));
        (root, disks)
    }

    #[test]
    fn p41_whole_disks_are_counted_once_and_malformed_values_are_left_out() {
        let (_root, mut disks) = disks(&SYS, &[]);
        let seen = read(&mut disks);
        assert_eq!(devices(&seen, SYSTEM_DISK_IO.name, 1), ["nvme0n1", "cciss/c0d0", "sdb"]);
        // One of its counters is negative, and one is not a number.
        assert_eq!(one(&seen, "system.disk.operations read sdb"), Some(1.0));
        assert_eq!(one(&seen, "system.disk.operation_time read sdb"), None);
        assert_eq!(one(&seen, "system.disk.io_time sdb"), Some(0.0));
        assert_eq!(one(&seen, "system.disk.io read nvme0n1"), Some(3000.0 * 512.0));
        assert_eq!(one(&seen, "system.disk.io write nvme0n1"), Some(7000.0 * 512.0));
        assert_eq!(one(&seen, "system.disk.operations write nvme0n1"), Some(500.0));
        assert_eq!(one(&seen, "system.disk.merged read nvme0n1"), Some(20.0));
        assert_eq!(one(&seen, "system.disk.operation_time write nvme0n1"), Some(0.8));
        assert_eq!(one(&seen, "system.disk.io_time nvme0n1"), Some(0.9));
        let totals = disks.totals().unwrap();
        assert_eq!((totals.disks, totals.reads, totals.writes), (3, 102, 502));
        assert_eq!((totals.read, totals.written), (3016 * 512, 7016 * 512));
    }

    #[test]
    fn p41_without_sys_partitions_are_recognized_by_their_names() {
        let (_root, mut disks) = disks(&[], &[]);
        let found = devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1);
        assert_eq!(found, ["nvme0n1", "cciss/c0d0", "nvme1c0n1", "sdb"]);
    }

    #[test]
    fn patterns_override_the_default() {
        let (_root, mut disks) = disks(&SYS, &["loop*", "!nvme*"]);
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["loop0", "cciss/c0d0", "sdb"]);
    }

    #[test]
    fn p41_a_disk_that_was_removed_has_no_series() {
        let (root, mut disks) = disks(&SYS, &[]);
        read(&mut disks);
        let without: Vec<_> = STATS.lines().filter(|line| !line.contains("nvme0n1 ")).collect();
        write(&root, "proc/diskstats", &without.join("\n"));
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["cciss/c0d0", "sdb"]);
        write(&root, "proc/diskstats", STATS);
        assert_eq!(devices(&read(&mut disks), SYSTEM_DISK_IO.name, 1), ["nvme0n1", "cciss/c0d0", "sdb"]);
    }

    #[tokio::test(start_paused = true)]
    async fn p41_milliseconds_wrap_and_a_replaced_disk_continues_the_counters() {
        let root = tree(&[]);
        let mut disks = Disks::below(root.path(), NameFilter::default());
        let mut busy = async |list: &str| {
            write(&root, "proc/diskstats", list);
            tokio::time::advance(std::time::Duration::from_secs(10)).await;
            let seen = read(&mut disks);
            (one(&seen, "system.disk.io_time sda"), one(&seen, "system.disk.operations read sda"))
        };
        let line = |reads: u64, millis: u64| format!("8 0 sda {reads} 0 0 0 0 0 0 0 0 {millis} 0\n");
        let wrap = 1_u64 << 32;
        assert_eq!(busy(&line(900, wrap - 1_000)).await, (Some(4_294_966.296), Some(900.0)));
        assert_eq!(busy(&line(901, 4_000)).await.1, Some(901.0));
        assert_eq!(busy(&line(902, 5_000)).await, (Some(4_294_967.296 + 5.0), Some(902.0)));
        // The disk is removed, and another one gets its name.
        assert_eq!(busy("").await, (None, None));
        assert_eq!(busy(&line(3, 100)).await, (Some(4_294_967.296 + 5.0), Some(902.0)));
        assert_eq!(busy(&line(5, 200)).await, (Some(4_294_967.296 + 5.1), Some(904.0)));
    }

    #[test]
    fn an_unreadable_file_is_an_error_and_an_empty_one_is_not() {
        let root = tree(&[("proc/diskstats/", "")]);
        let mut disks = Disks::below(root.path(), NameFilter::default());
        assert!(disks.sample(&mut Sample::default()).unwrap_err().to_string().contains("/proc/diskstats"));
        let root = tree(&[("proc/diskstats", "")]);
        assert_eq!(read(&mut Disks::below(root.path(), NameFilter::default())), []);
    }

    #[test]
    fn p40_lines_of_any_number_of_fields_are_read() {
        // Lines of kernels from 2.6 to 6.18 and of lxcfs 5, and of a partition in the oldest.
        for (line, busy) in [
            ("8 0 sda 1 0 8 0 46 0 977 34 0 2000 0", Some(2.0)),
            ("8 0 sda 1 0 8 0 46 0 977 34 0 2000 0 0 0 0", Some(2.0)),
            ("8 0 sda 1 0 8 0 46 0 977 34 0 2000 0 0 0 0 0 0 0", Some(2.0)),
            ("8 0 sda 1 0 8 0 46 0 977 34 18446744073709551615 2000 0", Some(2.0)),
            ("8 1 sda1 1 8 46 977", None),
        ] {
            let root = tree(&[("proc/diskstats", line)]);
            let seen = read(&mut Disks::below(root.path(), NameFilter::new(&["*"])));
            assert_eq!(one(&seen, "system.disk.io_time sda"), busy, "{line}");
            assert_eq!(seen.is_empty(), busy.is_none(), "{line}");
        }
    }

    #[test]
    fn p35_the_number_of_disks_is_bounded_and_more_are_a_failure() {
        let list = |disks: usize| {
            (0..disks)
                .fold(String::new(), |list, disk| list + &format!("8 0 d{disk}x 1 0 8 0 0 0 0 0 0 0 0\n"))
        };
        let root = tree(&[("proc/diskstats", &list(DEVICES))]);
        let mut disks = Disks::below(root.path(), NameFilter::default());
        let mut show = || {
            let mut sample = Sample::default();
            disks.sample(&mut sample).unwrap();
            let shown =
                sample.readings.iter().filter(|reading| reading.metric == &SYSTEM_DISK_IO_TIME).count();
            (shown, sample.failures.0.into_iter().map(|(part, _)| part).collect::<Vec<_>>())
        };
        assert_eq!(show(), (DEVICES, vec![]));
        write(&root, "proc/diskstats", &list(DEVICES + 1));
        assert_eq!(show(), (DEVICES, vec!["disks"]));
    }
}
