//! Entries by name, bounded in number and in the length of a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::sync::Mutex;

/// The name that all names beyond a bound share.
pub(super) const OTHER: &str = "_OTHER";

/// The maximum length of a name, in bytes.
pub(super) const LONGEST: usize = 128;

/// See the [module](self). A known name is found without a lock.
pub(super) struct Table<V> {
    entries: ArcSwap<BTreeMap<Arc<str>, Arc<V>>>,
    /// Held while an entry is added.
    adding: Mutex<()>,
    capacity: usize,
}

impl<V> Table<V> {
    /// A table of at most `capacity` names, and the one that all further names share.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: ArcSwap::default(), adding: Mutex::default(), capacity }
    }

    /// The entry of `name`, which `make` makes at its first use. `make` is called under a lock.
    pub(super) fn entry(&self, name: &str, make: impl FnOnce(&Arc<str>) -> V) -> Arc<V> {
        let name = if name.len() <= LONGEST { name } else { OTHER };
        if let Some(entry) = self.entries.load().get(name) {
            return Arc::clone(entry);
        }
        self.add(name, make)
    }

    #[cold]
    fn add(&self, name: &str, make: impl FnOnce(&Arc<str>) -> V) -> Arc<V> {
        let _adding = self.adding.lock();
        let entries = self.entries.load();
        let used = entries.len() - usize::from(entries.contains_key(OTHER));
        let name = if used < self.capacity || entries.contains_key(name) { name } else { OTHER };
        if let Some(entry) = entries.get(name) {
            return Arc::clone(entry);
        }
        let name: Arc<str> = name.into();
        let entry = Arc::new(make(&name));
        let mut grown = BTreeMap::clone(&entries);
        grown.insert(name, Arc::clone(&entry));
        self.entries.store(Arc::new(grown));
        entry
    }

    /// All entries, in the order of their names.
    pub(super) fn all(&self) -> Arc<BTreeMap<Arc<str>, Arc<V>>> {
        self.entries.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_a_bound_share_one_entry() {
        let table = Table::new(3);
        let names = ["a", "b", "a", "c", "d", "e", &"x".repeat(LONGEST + 1)];
        let made: Vec<String> =
            names.map(|name| table.entry(name, |name| name.to_string()).to_string()).into();
        assert_eq!(made, ["a", "b", "a", "c", OTHER, OTHER, OTHER]);
        assert_eq!(table.all().len(), 4);
        assert_eq!(*table.entry("c", |_| unreachable!("it is known")), "c");
    }
}
