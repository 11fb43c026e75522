//! Where the control groups of this process are.
//!
//! `/proc/self/cgroup` names the group in each hierarchy, `/proc/self/mountinfo` says where the hierarchies can be seen
//! and from which group on. Both are told from the root of the process's own namespace, so that one is to be taken
//! from the other: a container may see its own group alone, at the mount, or all of the host's.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sampler::text::{fields, lines};

/// Which kind of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The group of this process in one hierarchy and those that hold it, as far up as they can be seen.
///
/// The root of a hierarchy is not among them: it is the machine itself, and has no limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    /// Folders without a slash at either end, the process's own first; never empty.
    pub(super) groups: Vec<String>,
}

/// The places of this process by what they tell of; `None` where the process is in the root, or nothing can be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) cpu: Option<Place>,
    /// Of version 1, processor time has a hierarchy of its own, which may be that of `cpu`.
    pub(super) cpu_time: Option<Place>,
    pub(super) cpu_set: Option<Place>,
    pub(super) memory: Option<Place>,
    /// Only version 2 tells of pressure.
    pub(super) unified: Option<Place>,
}

impl Places {
    /// Finds them in the two files; `is_there` tells whether a file is.
    pub(super) fn find(cgroup: &[u8], mountinfo: &[u8], is_there: impl Fn(&str) -> bool) -> Self {
        let mounts: Vec<Mount> = lines(mountinfo).filter_map(Mount::parse).collect();
        let unified = lines(cgroup)
            .find_map(|line| line.strip_prefix(b"0::"))
            .and_then(|group| place(group, mounts.iter().filter(|mount| mount.is(b"")), &is_there));
        // A controller is in one hierarchy only.
        let of = |controller: &str| {
            let of_version_1 = lines(cgroup).find_map(|line| {
                let mut parts = line.splitn(3, |&byte| byte == b':').skip(1);
                let (controllers, group) = (parts.next()?, parts.next()?);
                let mut names = controllers.split(|&byte| byte == b',');
                names.any(|name| name == controller.as_bytes()).then_some(group)
            });
            let Some(group) = of_version_1 else { return unified.clone() };
            place(group, mounts.iter().filter(|mount| mount.is(controller.as_bytes())), &is_there)
        };
        Self {
            cpu: of("cpu"),
            cpu_time: of("cpuacct"),
            cpu_set: of("cpuset"),
            memory: of("memory"),
            unified: unified.clone(),
        }
    }
}

/// A mount of a hierarchy.
struct Mount {
    version: Version,
    /// The group that the mount shows.
    root: Vec<u8>,
    point: Vec<u8>,
    /// Of version 1: the controllers, among other options.
    options: Vec<u8>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = fields(line).skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = fields.skip_while(|&field| field != b"-").skip(1);
        let version = match fields.next()? {
            b"cgroup" => Version::V1,
            b"cgroup2" => Version::V2,
            _ => return None,
        };
        let options = fields.nth(1).unwrap_or_default().to_vec();
        Some(Self { version, root: unescaped(root), point: unescaped(point), options })
    }

    /// Whether this is the hierarchy of a controller of version 1, or of version 2 for none.
    fn is(&self, controller: &[u8]) -> bool {
        match self.version {
            Version::V1 => self.options.split(|&byte| byte == b',').any(|option| option == controller),
            Version::V2 => controller.is_empty(),
        }
    }
}

/// The group of that path and those above it, seen through the mount that shows most of them.
fn place<'a>(
    group: &[u8],
    mounts: impl Iterator<Item = &'a Mount>,
    is_there: &impl Fn(&str) -> bool,
) -> Option<Place> {
    let group = group.strip_suffix(b" (deleted)").unwrap_or(group);
    mounts
        .filter_map(|mount| {
            let below = Path::new(std::ffi::OsStr::from_bytes(group))
                .strip_prefix(std::ffi::OsStr::from_bytes(&mount.root))
                .ok()?;
            // The process was moved to a group outside of its namespace, which cannot be seen.
            if below.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
                return None;
            }
            let point = std::str::from_utf8(&mount.point).ok()?.trim_matches('/');
            let own = format!("{point}/{}", below.to_str()?);
            let mut own = own.trim_matches('/');
            let mut groups = Vec::new();
            // Something else may be mounted over it.
            while is_there(&format!("{own}/cgroup.procs")) {
                let is_root = match mount.version {
                    Version::V1 => is_there(&format!("{own}/cgroup.sane_behavior")),
                    Version::V2 => !is_there(&format!("{own}/cgroup.events")),
                };
                if !is_root {
                    groups.push(own.to_owned());
                }
                if own == point {
                    break;
                }
                let Some((above, _)) = own.rsplit_once('/') else { break };
                own = above;
            }
            (!groups.is_empty()).then_some(Place { version: mount.version, groups })
        })
        .max_by_key(|place| place.groups.len())
}

/// A blank in a path is `\040` there.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, others @ ..] = rest {
        rest = others;
        let octal = |digit: u8| (b'0'..=b'7').contains(&digit).then(|| u32::from(digit - b'0'));
        let escaped = match (first, others) {
            (b'\\', [a, b, c, ..]) => octal(*a)
                .zip(octal(*b))
                .zip(octal(*c))
                .and_then(|((a, b), c)| u8::try_from(a * 64 + b * 8 + c).ok()),
            _ => None,
        };
        if escaped.is_some() {
            rest = &others[3..];
        }
        plain.push(escaped.unwrap_or(*first));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_paths_are_read() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescaped(b"/a\\04"), b"/a\\04");
        assert_eq!(unescaped(b"\\777\\"), b"\\777\\");
    }

    #[test]
    fn what_makes_no_sense_is_no_place() {
        for (cgroup, mountinfo) in [
            ("", ""),
            ("0::", "1 2 3"),
            ("0::/x", "31 23 0:28 / /sys/fs/cgroup rw -"),
            ("0::/x", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2"),
            ("4:memory", "31 23 0:28 / /m rw - cgroup cgroup memory"),
            ("0::/../sibling", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw"),
            ("0::/other", "31 23 0:28 /own /sys/fs/cgroup rw - cgroup2 cgroup rw"),
        ] {
            let found =
                Places::find(cgroup.as_bytes(), mountinfo.as_bytes(), |name| !name.contains("sane_behavior"));
            let seen = [found.cpu, found.cpu_time, found.cpu_set, found.memory, found.unified];
            let none = cgroup != "0::/x" || !mountinfo.ends_with("cgroup2");
            assert!(!none || seen.iter().all(Option::is_none), "{cgroup} {mountinfo} {seen:?}");
        }
    }
}
