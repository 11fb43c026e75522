//! The mounts that `/proc/self/mountinfo` lists.

use procfs::process::MountInfo;

/// The mounts in the order of the list. A line that `procfs` cannot parse is left out.
pub(super) fn mounts(list: &str) -> impl Iterator<Item = MountInfo> {
    list.lines().filter_map(|line| {
        let mut mount = MountInfo::from_line(line).ok()?;
        mount.root = unescaped(&mount.root);
        mount.mount_point = unescaped(mount.mount_point.to_str()?).into();
        mount.mount_source = mount.mount_source.map(|source| unescaped(&source));
        Some(mount)
    })
}

/// Replaces the octal codes with which the kernel escapes separators and backslashes; `procfs` leaves them in.
fn unescaped(field: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\043", "#"), (r"\134", r"\")]
        .into_iter()
        .fold(field.to_owned(), |field, (escaped, plain)| field.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_paths_are_read() {
        assert_eq!(unescaped(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescaped(r"\134040"), r"\040");
        for plain in [r"/a\04", r"\777\", r"\9"] {
            assert_eq!(unescaped(plain), plain);
        }
    }
}
