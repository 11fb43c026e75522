//! Lists of processors, as the kernel writes them: `0-3,8`.

/// A processor beyond this number is none.
pub(super) const MOST_CORES: u64 = 65_536;

/// How many processors a list names; `None` for what is no list, and for an empty one.
pub(super) fn listed(list: &str) -> Option<u64> {
    ranges(list).try_fold(0_u64, |sum, range| {
        let (first, last) = range?;
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The processors that a list names; what is no part of a list is left out.
pub(super) fn numbers(list: &str) -> Vec<u64> {
    let known = ranges(list).flatten().filter(|(_, last)| *last < MOST_CORES);
    known.flat_map(|(first, last)| first..=last).collect()
}

/// The first and the last processor of each part; `None` for what is no such part.
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
    fn lists_of_processors_are_bounded() {
        assert_eq!(numbers("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(numbers("0-99999999999,x,3-1,7-"), [0; 0]);
    }
}
