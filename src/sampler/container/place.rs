//! Where the control groups of this process are.
//!
//! `/proc/self/cgroup` names the group in each hierarchy, `/proc/self/mountinfo` says where the hierarchies can be seen
//! and from which group on. Both are told from the root of the process's own namespace, so that one is to be taken
//! from the other: a container may see its own group alone, at the mount, or all of the host's.

use std::path::{Component, Path};

use procfs::process::MountInfo;
use procfs::{FromBufRead, ProcessCGroups};

use crate::sampler::mounts::mounts;

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
    pub(super) fn find(cgroup: &str, mountinfo: &str, is_there: impl Fn(&str) -> bool) -> Self {
        // `procfs` gives up at the first line that is malformed.
        let groups: Vec<_> = cgroup
            .lines()
            .filter_map(|line| ProcessCGroups::from_buf_read(line.as_bytes()).ok())
            .flat_map(|ProcessCGroups(groups)| groups)
            .collect();
        let mounts: Vec<_> = mounts(mountinfo).collect();
        // Version 2 has one hierarchy, which names no controllers.
        let unified = groups.iter().find(|group| group.controllers.is_empty()).and_then(|group| {
            let mounts = mounts.iter().filter(|mount| mount.fs_type == "cgroup2");
            place(Version::V2, &group.pathname, mounts, &is_there)
        });
        // A controller is in one hierarchy only.
        let of = |controller: &str| {
            let own = groups.iter().find(|group| group.controllers.iter().any(|own| own == controller));
            let Some(group) = own else { return unified.clone() };
            let mounts = mounts
                .iter()
                .filter(|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key(controller));
            place(Version::V1, &group.pathname, mounts, &is_there)
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

/// The group of that path and those above it, seen through the mount that shows most of them.
fn place<'a>(
    version: Version,
    group: &str,
    mounts: impl Iterator<Item = &'a MountInfo>,
    is_there: &impl Fn(&str) -> bool,
) -> Option<Place> {
    let group = group.strip_suffix(" (deleted)").unwrap_or(group);
    mounts
        .filter_map(|mount| {
            let below = Path::new(group).strip_prefix(&mount.root).ok()?;
            // The process was moved to a group outside of its namespace, which cannot be seen.
            if below.components().any(|part| part == Component::ParentDir) {
                return None;
            }
            let point = mount.mount_point.to_str()?.trim_matches('/');
            let own = format!("{point}/{}", below.to_str()?);
            let mut own = own.trim_matches('/');
            let mut groups = Vec::new();
            // Something else may be mounted over it.
            while is_there(&format!("{own}/cgroup.procs")) {
                let is_root = match version {
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
            (!groups.is_empty()).then_some(Place { version, groups })
        })
        .max_by_key(|place| place.groups.len())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = Places::find(cgroup, mountinfo, |name| !name.contains("sane_behavior"));
            let seen = [found.cpu, found.cpu_time, found.cpu_set, found.memory, found.unified];
            let none = cgroup != "0::/x" || !mountinfo.ends_with("cgroup2");
            assert!(!none || seen.iter().all(Option::is_none), "{cgroup} {mountinfo} {seen:?}");
        }
    }
}
