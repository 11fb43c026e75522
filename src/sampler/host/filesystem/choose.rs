//! Which of the mounts are reported.

use std::collections::HashMap;

use super::entry::{Entry, Found, Identity};
use super::tree::MountTree;
use crate::sampler::host::filters::NameFilter;
use crate::sampler::mounts::mounts;

/// The type of automount points.
const AUTOMOUNT: &str = "autofs";

/// The reported file systems, in the order of the list. `inspect` checks the path of a mount.
pub(super) fn reported(
    list: &str,
    by_mount_point: &NameFilter,
    by_type: &NameFilter,
    mut inspect: impl FnMut(&Entry) -> Found,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = mounts(list).filter_map(Entry::new).collect();
    mark_beneath(&mut entries);
    let tree = MountTree::new(entries.iter().map(Entry::node));
    let taken = |entry: &Entry| {
        by_mount_point
            .decide(&entry.path)
            .or_else(|| by_type.decide(&entry.kind))
            .unwrap_or_else(|| entry.is_local())
    };
    // An automount point has no own space, and reading its space may mount a file system.
    let wanted: Vec<bool> = entries
        .iter()
        .map(|entry| entry.kind != AUTOMOUNT && taken(entry) && tree.is_reached(entry.node()))
        .collect();
    drop(tree);
    // The mounts of each file system.
    let mut places: HashMap<Identity, usize> = HashMap::new();
    let mut same: Vec<Vec<Entry>> = Vec::new();
    for (entry, _) in entries.into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
        let place = *places.entry(entry.identity()).or_insert(same.len());
        match same.get_mut(place) {
            Some(mounts) => mounts.push(entry),
            None => same.push(vec![entry]),
        }
    }
    same.into_iter()
        .filter_map(|mut mounts| {
            mounts.sort_by_key(|entry| (entry.read_only, !entry.whole, entry.path.len()));
            let mut file = None;
            for entry in mounts {
                match inspect(&entry) {
                    Found::Folder => return Some(entry),
                    Found::File => _ = file.get_or_insert(entry),
                    Found::Nothing => {}
                }
            }
            file
        })
        .collect()
}

/// Marks the mounts whose path leads through a mount that may hang.
pub(super) fn mark_beneath(entries: &mut [Entry]) {
    if !entries.iter().any(Entry::is_remote) {
        return;
    }
    let below: HashMap<i64, (i64, bool)> =
        entries.iter().map(|entry| (entry.id, (entry.parent, entry.is_remote()))).collect();
    let (mut known, mut trail) = (HashMap::new(), Vec::new());
    for entry in entries {
        let mut here = entry.parent;
        // In a malformed list, a mount may be its own parent.
        let beneath = loop {
            match (known.get(&here), below.get(&here)) {
                (Some(beneath), _) => break *beneath,
                (None, Some((parent, false))) if trail.len() <= below.len() => {
                    trail.push(here);
                    here = *parent;
                }
                (None, found) => break found.is_some_and(|(_, remote)| *remote),
            }
        };
        known.extend(trail.drain(..).map(|id| (id, beneath)));
        entry.beneath = beneath;
    }
}
