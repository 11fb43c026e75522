//! The source `filesystem`.

use std::path::Path;

use super::choose::reported;
use super::entry::{Entry, inspect};
use super::space::{Asked, Space, Spaces};
use crate::sampler::files::Files;
use crate::sampler::host::devices::too_many;
use crate::sampler::host::filters::NameFilter;
use crate::sampler::probe::{Failures, Labels, Probe, ProbeError, Sample, count};
use crate::sampler::snapshot::FileSystemSnapshot;
use crate::signal::capacity::DEVICES;
use crate::signal::{
    SYSTEM_FILESYSTEM_LIMIT, SYSTEM_FILESYSTEM_USAGE, SYSTEM_FILESYSTEM_UTILIZATION, Watched,
};

/// Reads the file systems.
#[derive(Debug, Default)]
pub(in crate::sampler) struct FileSystems {
    files: Files,
    by_mount_point: NameFilter,
    by_type: NameFilter,
    /// The list from which `mounts` was made.
    list: String,
    mounts: Vec<Mount>,
    /// Whether there are more file systems than are reported.
    too_many: bool,
    spaces: Spaces,
}

/// A file system that is reported.
#[derive(Debug)]
struct Mount {
    entry: Entry,
    asked: Asked,
    whole: Labels,
    /// The labels of used, free and reserved space.
    states: [Labels; 3],
}

impl FileSystems {
    pub(in crate::sampler) fn below(root: &Path, by_mount_point: NameFilter, by_type: NameFilter) -> Self {
        Self { files: Files::below(root), by_mount_point, by_type, ..Self::default() }
    }

    fn refresh(&mut self) -> Result<(), ProbeError> {
        let list = self.files.read("proc/self/mountinfo")?;
        if list != self.list {
            self.list = list.into_owned();
            let mut entries = reported(&self.list, &self.by_mount_point, &self.by_type, inspect);
            self.too_many = entries.len() > DEVICES;
            entries.truncate(DEVICES);
            self.mounts = entries.into_iter().map(Mount::new).collect();
        }
        Ok(())
    }

    /// The space of each mount. `None` if it cannot be read, because the mount is gone or not accessible.
    fn ask(&mut self, failures: &mut Failures) -> Result<Vec<Option<Space>>, ProbeError> {
        self.refresh()?;
        let mounts = self.mounts.iter().map(|mount| (&mount.asked, mount.entry.may_hang()));
        Ok(self.spaces.ask(mounts, failures))
    }

    pub(in crate::sampler) fn snapshots(&mut self) -> Vec<FileSystemSnapshot> {
        let spaces = self.ask(&mut Failures::default()).unwrap_or_default();
        let all = self.mounts.iter().zip(spaces);
        all.filter_map(|(mount, space)| Some(mount.entry.snapshot(space?))).collect()
    }
}

impl Probe for FileSystems {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let spaces = self.ask(&mut sample.failures)?;
        too_many(self.too_many, "file systems", &mut sample.failures);
        for (mount, space) in self.mounts.iter().zip(spaces) {
            let Some(space) = space.map(|space| mount.entry.snapshot(space)) else { continue };
            let reserved = space.limit.saturating_sub(space.used).saturating_sub(space.free);
            sample.with(&SYSTEM_FILESYSTEM_LIMIT, count(space.limit), &mount.whole);
            for (bytes, labels) in [space.used, space.free, reserved].into_iter().zip(&mount.states) {
                sample.with(&SYSTEM_FILESYSTEM_USAGE, count(bytes), labels);
            }
            if space.used.saturating_add(space.free) > 0 {
                sample.with(&SYSTEM_FILESYSTEM_UTILIZATION, space.utilization(), &mount.states[0]);
                if !space.read_only {
                    sample.watch_host(Watched::Disk, Some(&mount.asked.0), space.utilization());
                }
            }
        }
        Ok(())
    }
}

impl Mount {
    fn new(entry: Entry) -> Self {
        let mode = if entry.read_only { "ro" } else { "rw" };
        let labels = |state: Option<&str>| {
            let labels = [
                Some(("system.device", &*entry.source)),
                Some(("system.filesystem.mode", mode)),
                Some(("system.filesystem.mountpoint", &*entry.path)),
                state.map(|state| ("system.filesystem.state", state)),
                Some(("system.filesystem.type", &*entry.kind)),
            ];
            Labels::new(labels.into_iter().flatten())
        };
        Self {
            whole: labels(None),
            states: ["used", "free", "reserved"].map(|state| labels(Some(state))),
            asked: (entry.path.as_str().into(), entry.id),
            entry,
        }
    }
}
