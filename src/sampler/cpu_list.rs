//! Lists of processors, as the kernel writes them: `0-3,8`.

use super::text::number;

/// How many processors a list names; `None` for what is no list, and for an empty one.
pub(super) fn listed(list: &[u8]) -> Option<u64> {
    list.trim_ascii().split(|&byte| byte == b',').try_fold(0_u64, |sum, part| {
        let (first, last) = match part.iter().position(|&byte| byte == b'-') {
            Some(dash) => (number(&part[..dash])?, number(&part[dash + 1..])?),
            None => (number(part)?, number(part)?),
        };
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_a_list_are_counted() {
        assert_eq!(listed(b"0\n"), Some(1));
        assert_eq!(listed(b"0-3,8,10-11\n"), Some(7));
        for bad in ["", "\n", "a", "0-", "3-1", "0-18446744073709551615", "0,,1"] {
            assert_eq!(listed(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
