//! Which mounts can be reached: the list of mounts also holds what other mounts hide.

use std::collections::{HashMap, HashSet};

/// A mount as far as its place goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) id: i64,
    /// The mount that it lies on.
    pub(super) parent: i64,
    pub(super) path: &'a str,
}

/// The mounts by the mount that they lie on, and where.
#[derive(Debug)]
pub(super) struct MountTree<'a> {
    children: HashMap<(Option<i64>, &'a str), i64>,
    /// How often a mount was looked for.
    #[cfg(test)]
    pub(super) steps: std::cell::Cell<usize>,
}

impl<'a> MountTree<'a> {
    pub(super) fn new(mounts: impl Iterator<Item = Node<'a>> + Clone) -> Self {
        let known: HashSet<i64> = mounts.clone().map(|mount| mount.id).collect();
        // What the root of this process lies on is not in the list. Of two at one place the later one is on top.
        let place = |mount: Node<'a>| {
            let parent = Some(mount.parent).filter(|parent| *parent != mount.id && known.contains(parent));
            ((parent, mount.path), mount.id)
        };
        Self {
            children: mounts.map(place).collect(),
            #[cfg(test)]
            steps: std::cell::Cell::new(0),
        }
    }

    /// Whether the path of a mount leads to it: each part of the path, from the root on, may lead into another mount.
    pub(super) fn is_reached(&self, mount: Node<'_>) -> bool {
        let mut here = None;
        let ends = mount.path.match_indices('/').map(|(end, _)| end).skip(1).chain([mount.path.len()]);
        let parts = ends.filter_map(|end| mount.path.get(..end));
        for part in std::iter::once("/").chain(parts.filter(|part| *part != "/")) {
            // A mount whose parent is not listed is taken to lie where its path says.
            let unlisted = || self.child(None, part).filter(|_| part != "/");
            let Some(first) = self.child(here, part).or_else(unlisted) else { continue };
            here = Some(first);
            // It may be covered at the same place in turn; no more often than there are mounts.
            for _ in 0..self.children.len() {
                let Some(next) = self.child(here, part) else { break };
                here = Some(next);
            }
        }
        here == Some(mount.id)
    }

    fn child(&self, parent: Option<i64>, path: &str) -> Option<i64> {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
        self.children.get(&(parent, path)).copied()
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
    fn what_is_covered_is_not_reached() {
        // The root lies on a mount that is not listed, and `/a/b` below what was mounted on `/a` later.
        assert_eq!(reached(&[(1, 0, "/"), (2, 1, "/a"), (3, 2, "/a/b"), (4, 2, "/a")]), [1, 4]);
        assert_eq!(reached(&[(1, 0, "/"), (2, 1, "/a"), (3, 1, "/a/b"), (4, 2, "/a/b")]), [1, 2, 4]);
        assert_eq!(reached(&[(1, 0, "/"), (5, 1, "/"), (2, 1, "/x"), (3, 5, "/y")]), [5, 3]);
        // A root that is no mount, as after a `chroot`.
        assert_eq!(reached(&[(7, 3, "/proc"), (8, 3, "/data")]), [7, 8]);
        assert_eq!(reached(&[(1, 0, "/"), (7, 3, "/proc"), (8, 7, "/proc/x")]), [1, 7, 8]);
        // What makes no sense ends.
        assert_eq!(reached(&[(1, 1, "/"), (1, 1, "/"), (2, 2, "x"), (3, 2, "")]), [1, 1, 2]);
        assert!(reached(&[(1, 2, "/"), (2, 1, "/")]).is_empty());
    }
}
