//! Where the control groups of this process are.
//!
//! `/proc/self/cgroup` names the group in each hierarchy. `/proc/self/mountinfo` says where each hierarchy is mounted, and
//! which group is at the root of the mount. Both paths are relative to the root of the namespace of the process, so the
//! path below the mount is their difference. A container may see only its own group, or all groups of the host.

use std::path::{Component, Path};

use procfs::process::MountInfo;
use procfs::{FromBufRead, ProcessCGroups};

use crate::sampler::mounts::mounts;

/// The version of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The group of this process in one hierarchy, and the visible groups around it.
///
/// The root of a hierarchy is not included: it is the machine, and has no limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    /// Folders without a slash at either end, the group of the process first. Never empty.
    pub(super) groups: Vec<String>,
}

/// The places of this process by resource. `None` if the process is in the root, or if the groups are not visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) cpu: Option<Place>,
    /// In version 1, processor time has its own hierarchy, which may be the one of `cpu`.
    pub(super) cpu_time: Option<Place>,
    pub(super) cpu_set: Option<Place>,
    pub(super) memory: Option<Place>,
    /// Only version 2 has pressure files.
    pub(super) unified: Option<Place>,
}

impl Places {
    /// Finds the places in the two files. `exists` says whether a file exists.
    pub(super) fn find(cgroup: &str, mountinfo: &str, exists: impl Fn(&str) -> bool) -> Self {
        // Line by line, because `procfs` stops at the first malformed line.
        let groups: Vec<_> = cgroup
            .lines()
            .filter_map(|line| ProcessCGroups::from_buf_read(line.as_bytes()).ok())
            .flat_map(|ProcessCGroups(groups)| groups)
            .collect();
        let mounts: Vec<_> = mounts(mountinfo).collect();
        // Version 2 has one hierarchy, which names no controllers.
        let unified = groups.iter().find(|group| group.controllers.is_empty()).and_then(|group| {
            let mounts = mounts.iter().filter(|mount| mount.fs_type == "cgroup2");
            place(Version::V2, &group.pathname, mounts, &exists)
        });
        // A controller is in one hierarchy only.
        let of = |controller: &str| {
            let own = groups.iter().find(|group| group.controllers.iter().any(|own| own == controller));
            let Some(group) = own else { return unified.clone() };
            let mounts = mounts
                .iter()
                .filter(|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key(controller));
            place(Version::V1, &group.pathname, mounts, &exists)
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

/// The group of this path and the groups around it, seen through the mount that shows most of them.
fn place<'a>(
    version: Version,
    group: &str,
    mounts: impl Iterator<Item = &'a MountInfo>,
    exists: &impl Fn(&str) -> bool,
) -> Option<Place> {
    let group = group.strip_suffix(" (deleted)").unwrap_or(group);
    mounts
        .filter_map(|mount| {
            let below = Path::new(group).strip_prefix(&mount.root).ok()?;
            // The process was moved to a group outside its namespace, which is not visible.
            if below.components().any(|part| part == Component::ParentDir) {
                return None;
            }
            let point = mount.mount_point.to_str()?.trim_matches('/');
            let own = format!("{point}/{}", below.to_str()?);
            let mut own = own.trim_matches('/');
            let mut groups = Vec::new();
            // Another file system may be mounted over it.
            while exists(&format!("{own}/cgroup.procs")) {
                let is_root = match version {
                    Version::V1 => exists(&format!("{own}/cgroup.sane_behavior")),
                    Version::V2 => !exists(&format!("{own}/cgroup.events")),
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
            (!groups.is_empty()).then_some(Place { version, groups })
        })
        .max_by_key(|place| place.groups.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_files_give_no_place() {
        for (cgroup, mountinfo) in [
            ("", ""),
            ("0::", "1 2 3"),
            ("0::/x", "31 23 0:28 / /sys/fs/cgroup rw -"),
            ("0::/x", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2"),
            ("4:memory", "31 23 0:28 / /m rw - cgroup cgroup memory"),
            ("0::/../sibling", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw"),
            ("0::/other", "31 23 0:28 /own /sys/fs/cgroup rw - cgroup2 cgroup rw"),
        ] {
            let found = Places::find(cgroup, mountinfo, |name| !name.contains("sane_behavior"));
            let seen = [found.cpu, found.cpu_time, found.cpu_set, found.memory, found.unified];
            let none = cgroup != "0::/x" || !mountinfo.ends_with("cgroup2");
            assert!(!none || seen.iter().all(Option::is_none), "{cgroup} {mountinfo} {seen:?}");
        }
    }
}
