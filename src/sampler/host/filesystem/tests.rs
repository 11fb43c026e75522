//! Lists of mounts of machines and containers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::choose::{mark_beneath, reported};
use super::entry::{Entry, Found, inspect};
use super::tree::MountTree;
use crate::sampler::host::filters::NameFilter;
use crate::sampler::mounts::mounts;

/// Path, type and source of the reported file systems.
fn chosen(list: &str, by_mount_point: &[&str], by_type: &[&str]) -> Vec<String> {
    let filter = |patterns: &[&str]| NameFilter::new(patterns);
    reported(list, &filter(by_mount_point), &filter(by_type), |_| Found::Folder)
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
    let expected =
        ["/ ext4 /dev/nvme0n1p2", "/boot/efi vfat /dev/nvme0n1p1", "/home btrfs /dev/sdb1", "/tank zfs tank"];
    assert_eq!(chosen(MACHINE, &[], &[]), expected);
}

#[test]
fn settings_include_and_exclude_types_and_mount_points() {
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
fn the_topmost_mount_is_reported() {
    let list = "1 0 8:1 / /x rw - ext4 /dev/sda1 rw\n2 1 8:2 / /x ro - xfs /dev/sda2 rw\n";
    assert_eq!(chosen(list, &[], &[]), ["/x xfs /dev/sda2"]);
    let none = NameFilter::default();
    assert!(reported(list, &none, &none, |_| Found::Folder)[0].read_only);
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
    // In a namespace of `pasta`.
    assert_eq!(chosen("1 2 0:47 / / ro - tmpfs  ro,size=0k", &[], &[]), ["/ tmpfs none"]);
}

#[test]
fn p41_excluded_mounts_are_left_out_before_one_mount_is_chosen() {
    // The container has mounts of one volume: three files, a read-only folder, and its data.
    let list = "600 500 0:55 / / rw - overlay overlay rw
604 600 254:1 /c/1/hosts /etc/hosts rw - ext4 /dev/vda1 rw
605 600 254:1 /c/1/name /etc/hostname rw - ext4 /dev/vda1 rw
606 600 254:1 /config /cfg ro - ext4 /dev/vda1 rw
607 600 254:1 /volumes/data /var/lib/data rw - ext4 /dev/vda1 rw
608 600 8:1 / /a rw - xfs /dev/sda1 rw
609 600 8:1 / /a/longer rw - xfs /dev/sda1 rw
610 600 0:60 / /a rw - tmpfs tmpfs rw
";
    let none = NameFilter::default();
    let files = |entry: &Entry| match entry.path.starts_with("/etc/") {
        true => Found::File,
        false => Found::Folder,
    };
    let chosen = |list: &str, inspect: &dyn Fn(&Entry) -> Found| {
        let chosen = reported(list, &none, &none, inspect);
        chosen.into_iter().map(|entry| entry.path).collect::<Vec<_>>()
    };
    // `/a` is hidden, and so are the mounts on it: `/a/longer` is on the root, below the topmost mount.
    let without = list.replace("609 600", "609 608");
    assert_eq!(chosen(list, &files), ["/", "/var/lib/data"]);
    assert_eq!(chosen(&without, &files), ["/", "/var/lib/data"]);
    // The folder with the data does not exist, or is not accessible.
    let missing = |entry: &Entry| match &*entry.path {
        "/var/lib/data" => Found::Nothing,
        _ => files(entry),
    };
    assert_eq!(chosen(list, &missing), ["/", "/cfg"]);
    // Like in `df`, the volume is reported, even if only a file of it is mounted.
    let only_files = list
        .lines()
        .filter(|line| line.contains("/etc/"))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(chosen(&only_files, &files), ["/etc/hosts"]);
    // If its path is excluded, another mount of the volume is reported.
    let filter = NameFilter::new(&["!/var/*"]);
    let kept = reported(list, &filter, &none, files);
    assert_eq!(kept.last().unwrap().path, "/cfg");
}

#[test]
fn p41_automount_points_are_not_read_and_their_mounts_are() {
    let list = "1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:40 / /net rw - autofs auto rw
3 2 0:41 / /net/a\\040b rw - nfs4 server:/a rw
4 1 0:42 / /direct rw - autofs auto rw
5 4 8:2 / /direct rw - xfs /dev/sda2 rw
";
    assert_eq!(
        chosen(list, &[], &["*"]),
        ["/ ext4 /dev/sda1", "/net/a b nfs4 server:/a", "/direct xfs /dev/sda2"]
    );
}

#[test]
fn p41_the_steps_are_linear_in_the_length_of_the_list() {
    let steps = |mounts: usize| {
        let mut list = String::from("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
        for mount in 2..mounts {
            // Volumes of pods: bind mounts of the same disk, and separate disks.
            let device = if mount % 2 == 0 { "8:1".to_owned() } else { format!("9:{mount}") };
            list += &format!("{mount} 1 {device} /v/{mount} /pods/{mount}/volume rw - ext4 /dev/x rw\n");
        }
        let none = NameFilter::default();
        let mut inspections = 0;
        let entries: Vec<_> = mounts_of(&list);
        let tree = MountTree::new(entries.iter().map(Entry::node));
        assert!(entries.iter().all(|entry| tree.is_reached(entry.node())));
        let chosen = reported(&list, &none, &none, |_| {
            inspections += 1;
            Found::Folder
        });
        assert_eq!(inspections, chosen.len(), "one inspection for each");
        (tree.steps.get() + inspections) / mounts
    };
    assert_eq!(steps(200), steps(20_000));
}

#[test]
fn p41_mounts_that_hide_each_other_at_one_path_cost_a_few_steps_each() {
    let steps = |mounts: usize| {
        let mut list = String::from("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
        for mount in 2..mounts {
            // A program that mounts repeatedly and never unmounts.
            list += &format!("{mount} {} 9:1 / /data rw - ext4 /dev/x rw\n", mount - 1);
        }
        let entries = mounts_of(&list);
        let tree = MountTree::new(entries.iter().map(Entry::node));
        let reached: Vec<i64> =
            entries.iter().filter(|entry| tree.is_reached(entry.node())).map(|entry| entry.id).collect();
        assert_eq!(reached, [1, mounts as i64 - 1]);
        tree.steps.get() / mounts
    };
    assert!(steps(10_000) <= 6, "{}", steps(10_000));
}

#[test]
fn p41_mounts_that_may_hang_are_read_on_their_own_threads() {
    let list = "1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:40 / /srv rw - nfs4 server:/a rw
3 2 8:2 / /srv/disk rw - xfs /dev/sdb rw
4 3 8:3 / /srv/disk/inner rw - xfs /dev/sdc rw
5 1 8:4 / /usb rw - fuseblk /dev/sdd1 rw
6 1 0:41 / /run rw - tmpfs tmpfs rw
7 6 8:5 / /run/disk rw - ext4 /dev/sde rw
8 9 8:6 / /odd rw - ext4 /dev/sdf rw
9 8 8:7 / /odd/odd rw - ext4 /dev/sdg rw
10 1 8:8 / /cluster rw - ocfs2 /dev/sdh rw
";
    let mut entries = mounts_of(list);
    mark_beneath(&mut entries);
    let hang: Vec<i64> = entries.iter().filter(|entry| entry.may_hang()).map(|entry| entry.id).collect();
    assert_eq!(hang, [2, 3, 4, 5, 6, 10]);
}

fn mounts_of(list: &str) -> Vec<Entry> {
    mounts(list).filter_map(Entry::new).collect()
}

#[test]
fn folders_files_and_hidden_mounts_are_distinguished() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = std::fs::metadata(folder.path()).unwrap();
    let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inspect = |path: &Path, device: (u32, u32)| {
        let line = format!("1 0 {}:{} / {} rw - ext4 /dev/x rw", device.0, device.1, path.to_str().unwrap());
        inspect(&mounts_of(&line)[0])
    };
    assert_eq!(inspect(folder.path(), device), Found::Folder);
    assert_eq!(inspect(&file, device), Found::File);
    assert_eq!(inspect(folder.path(), (device.0 + 1, 7)), Found::Nothing);
    assert_eq!(inspect(&folder.path().join("absent"), (8, 1)), Found::Nothing);
}
