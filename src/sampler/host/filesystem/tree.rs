//! Which mounts can be reached. The list of mounts also contains mounts that others hide.

use std::collections::{HashMap, HashSet};

/// The place of a mount.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) id: i64,
    /// The mount on which it is mounted.
    pub(super) parent: i64,
    pub(super) path: &'a str,
}

/// A parent mount, and a path in it.
type Place<'a> = (Option<i64>, &'a str);

/// The topmost mount at each place.
#[derive(Debug)]
pub(super) struct MountTree<'a> {
    tops: HashMap<Place<'a>, i64>,
    /// The number of look-ups.
    #[cfg(test)]
    pub(super) steps: std::cell::Cell<usize>,
}

impl<'a> MountTree<'a> {
    pub(super) fn new(mounts: impl Iterator<Item = Node<'a>> + Clone) -> Self {
        let known: HashSet<i64> = mounts.clone().map(|mount| mount.id).collect();
        // The parent of the root is not in the list. Of two mounts at one place, the later one is on top.
        let place = |mount: Node<'a>| {
            let parent = Some(mount.parent).filter(|parent| *parent != mount.id && known.contains(parent));
            ((parent, mount.path), mount.id)
        };
        let children: HashMap<Place<'a>, i64> = mounts.map(place).collect();
        let (mut tops, mut steps) = (HashMap::with_capacity(children.len()), 0);
        let mut trail = Vec::new();
        for (place, first) in &children {
            let (mut place, mut top) = (*place, *first);
            // The topmost mount may be covered at the same path again, at most once for each mount.
            while !tops.contains_key(&place) && trail.len() <= children.len() {
                trail.push(place);
                place = (Some(top), place.1);
                let Some(next) = children.get(&place) else { break };
                top = *next;
            }
            steps += 1 + trail.len();
            let top = tops.get(&place).copied().unwrap_or(top);
            tops.extend(trail.drain(..).map(|place| (place, top)));
        }
        let _ = steps;
        Self {
            tops,
            #[cfg(test)]
            steps: std::cell::Cell::new(steps),
        }
    }

    /// Whether the path of a mount leads to it. Each part of the path may lead into another mount.
    pub(super) fn is_reached(&self, mount: Node<'_>) -> bool {
        let mut here = None;
        let ends = mount.path.match_indices('/').map(|(end, _)| end).skip(1).chain([mount.path.len()]);
        let parts = ends.filter_map(|end| mount.path.get(..end));
        for part in std::iter::once("/").chain(parts.filter(|part| *part != "/")) {
            // If the parent of a mount is not listed, its path decides.
            let unlisted = || self.top(None, part).filter(|_| part != "/");
            if let Some(top) = self.top(here, part).or_else(unlisted) {
                here = Some(top);
            }
        }
        here == Some(mount.id)
    }

    fn top(&self, parent: Option<i64>, path: &str) -> Option<i64> {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
        self.tops.get(&(parent, path)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(mounts: &[(i64, i64, &'static str)]) -> Vec<i64> {
        let nodes = mounts.iter().map(|&(id, parent, path)| Node { id, parent, path });
        let tree = MountTree::new(nodes.clone());
        nodes.filter(|node| tree.is_reached(*node)).map(|node| node.id).collect()
    }

    #[test]
    fn hidden_mounts_are_not_reached() {
        // The parent of the root is not listed, and `/a/b` is hidden by a later mount on `/a`.
        assert_eq!(reached(&[(1, 0, "/"), (2, 1, "/a"), (3, 2, "/a/b"), (4, 2, "/a")]), [1, 4]);
        assert_eq!(reached(&[(1, 0, "/"), (2, 1, "/a"), (3, 1, "/a/b"), (4, 2, "/a/b")]), [1, 2, 4]);
        assert_eq!(reached(&[(1, 0, "/"), (5, 1, "/"), (2, 1, "/x"), (3, 5, "/y")]), [5, 3]);
        // The root is not a mount, as after a `chroot`.
        assert_eq!(reached(&[(7, 3, "/proc"), (8, 3, "/data")]), [7, 8]);
        assert_eq!(reached(&[(1, 0, "/"), (7, 3, "/proc"), (8, 7, "/proc/x")]), [1, 7, 8]);
        // Malformed lists are handled in bounded time.
        assert_eq!(reached(&[(1, 1, "/"), (1, 1, "/"), (2, 2, "x"), (3, 2, "")]), [1, 1, 2]);
        assert!(reached(&[(1, 2, "/"), (2, 1, "/")]).is_empty());
    }
}
