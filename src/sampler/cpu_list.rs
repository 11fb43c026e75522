//! Lists of processors, as the kernel writes them: `0-3,8`.

use super::files::Files;
use crate::signal::capacity::PROCESSORS;

/// Numbers of processors are below this.
pub(super) const MOST_CORES: u64 = PROCESSORS as u64;

/// The processors that are online, from `/sys`. If it is not mounted, the processors in `/proc/stat`.
pub(super) fn online(files: &mut Files) -> Vec<u64> {
    let listed = files.read("sys/devices/system/cpu/online").map(|list| numbers(&list));
    let listed = listed.unwrap_or_default();
    if !listed.is_empty() {
        return listed;
    }
    let stat = files.read("proc/stat").unwrap_or_default();
    let number = |line: &str| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok();
    stat.lines().filter_map(number).filter(|number| *number < MOST_CORES).collect()
}

/// The number of processors that are online; `None` if it is not known.
pub(super) fn count_online(files: &mut Files) -> Option<u64> {
    let online = online(files).len() as u64;
    (online > 0).then_some(online)
}

/// The number of processors in a list; `None` if it is empty or malformed.
pub(super) fn listed(list: &str) -> Option<u64> {
    ranges(list).try_fold(0_u64, |sum, range| {
        let (first, last) = range?;
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The processors in a list. Malformed parts are left out.
pub(super) fn numbers(list: &str) -> Vec<u64> {
    let known = ranges(list).flatten().filter(|(_, last)| *last < MOST_CORES);
    known.flat_map(|(first, last)| first..=last).collect()
}

/// The first and the last processor of each part; `None` for a malformed part.
fn ranges(list: &str) -> impl Iterator<Item = Option<(u64, u64)>> {
    list.trim_ascii().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_a_list_are_counted() {
        assert_eq!(listed("0\n"), Some(1));
        assert_eq!(listed("0-3,8,10-11\n"), Some(7));
        for bad in ["", "\n", "a", "0-", "3-1", "0-18446744073709551615", "0,,1"] {
            assert_eq!(listed(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn without_sys_the_processors_in_proc_stat_are_online() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::below(root.path());
        assert_eq!(count_online(&mut files), None);
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let stat = "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu7 1 2 3 4\ncpux 1\ncpu99999999 1\nintr 5 0\n";
        std::fs::write(root.path().join("proc/stat"), stat).unwrap();
        assert_eq!(online(&mut files), [0, 7]);
        assert_eq!(count_online(&mut files), Some(2));
    }

    #[test]
    fn lists_of_processors_are_bounded() {
        assert_eq!(numbers("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(numbers("0-99999999999,x,3-1,7-"), [0; 0]);
    }
}
