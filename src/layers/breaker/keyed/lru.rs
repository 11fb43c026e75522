//! A bounded map that evicts the entry of the lowest rank, and of these the least recently used.
//!
//! Entries are in a vector and are linked by their indices, in one list for each [`Rank`]; the hash table holds indices only.
//! The caller passes the hashes and they are stored, so `Eq` is the only code of a key that runs here. It runs before any
//! change: if it panics, the map is unchanged.
//!
//! The rank of an entry changes outside, and is set here a moment later ([`Lru::set_rank`]). So the entry to evict is checked
//! first: if its rank is higher by now, it moves to its list, and the next entry is checked. Each entry moves once for each
//! change, so a new key costs the same with ten entries and with a million.
//!
//! `lru` 0.19 keeps pointers in its table, which doubles some time after the map is full. With it, a map of 10,000 circuits
//! grows by 3.1 % while new keys replace old ones, and a key takes 920 bytes instead of 873.

use std::mem;

use hashbrown::HashTable;

/// No entry.
const NONE: u32 = u32::MAX;

/// The rank of an entry for eviction, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A closed circuit: a new one would soon be the same.
    Closed,
    /// An open circuit: its state took failures to learn.
    Broken,
    /// A circuit that an operator set.
    Manual,
}

/// A bounded map: see the [module](self).
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    /// Indices of entries, by the hashes of their keys.
    indices: HashTable<u32>,
    entries: Vec<Entry<K, V>>,
    /// By [`Rank`].
    lists: [List; 3],
    most: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
    older: u32,
    newer: u32,
    /// The rank that was set last.
    rank: Rank,
}

/// The ends of a list in the order of use.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
}

impl<K: Eq, V> Lru<K, V> {
    /// A map of at most `most` entries, from 1 to 2^31.
    pub(super) fn new(most: usize) -> Self {
        let lists = [List { oldest: NONE, newest: NONE }; 3];
        Self { indices: HashTable::new(), entries: Vec::new(), lists, most }
    }

    /// Returns the value of `key`, which counts as used now.
    #[inline]
    pub(super) fn get(&mut self, hash: u64, key: &K) -> Option<&V> {
        let at = self.index(hash, key)?;
        let rank = self.entries[at as usize].rank;
        if at != self.lists[rank as usize].newest {
            self.unlink(at);
            self.link(at, rank);
        }
        Some(&self.entries[at as usize].value)
    }

    /// Returns the value of `key`, which does not count as used.
    pub(super) fn peek(&self, hash: u64, key: &K) -> Option<&V> {
        self.index(hash, key).map(|at| &self.entries[at as usize].value)
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// Sets the rank of the entry with this hash for which `is_it` returns true, if there is one. It counts as used now.
    pub(super) fn set_rank(&mut self, hash: u64, is_it: impl Fn(&V) -> bool, rank: impl FnOnce(&V) -> Rank) {
        let entries = &self.entries;
        let found = self.indices.find(hash, |index| {
            let entry = &entries[*index as usize];
            entry.hash == hash && is_it(&entry.value)
        });
        if let Some(at) = found.copied() {
            let rank = rank(&self.entries[at as usize].value);
            self.unlink(at);
            self.link(at, rank);
        }
    }

    /// Adds a key that is not in the map, with the lowest rank. Returns the entry that was evicted, if the map was full.
    /// `rank` returns the current rank of an entry.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        rank: impl Fn(&V) -> Rank,
    ) -> Option<(K, V)> {
        let entry = Entry { hash, key, value, older: NONE, newer: NONE, rank: Rank::Closed };
        let (at, gone) = if self.entries.len() < self.most {
            (self.push(entry), None)
        } else {
            let at = self.lowest(rank);
            self.unlink(at);
            if let Ok(found) = self.indices.find_entry(self.entries[at as usize].hash, |index| *index == at) {
                found.remove();
            }
            let gone = mem::replace(&mut self.entries[at as usize], entry);
            (at, Some((gone.key, gone.value)))
        };
        let entries = &self.entries;
        self.indices.insert_unique(hash, at, |index| entries[*index as usize].hash);
        self.link(at, Rank::Closed);
        gone
    }

    #[inline]
    fn index(&self, hash: u64, key: &K) -> Option<u32> {
        let is_it = |index: &u32| {
            let entry = &self.entries[*index as usize];
            entry.hash == hash && entry.key == *key
        };
        self.indices.find(hash, is_it).copied()
    }

    #[allow(clippy::cast_possible_truncation)] // `most` is at most 2^31.
    fn push(&mut self, entry: Entry<K, V>) -> u32 {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            // Doubled, but not beyond the maximum.
            self.entries.reserve_exact(len.max(4).min(self.most - len));
        }
        self.entries.push(entry);
        len as u32
    }

    /// The index of the entry to evict.
    fn lowest(&mut self, rank: impl Fn(&V) -> Rank) -> u32 {
        // A broken entry may have become idle, which changes its rank without a call to `set_rank`.
        let broken = self.lists[Rank::Broken as usize].oldest;
        if self.entries.get(broken as usize).is_some_and(|entry| rank(&entry.value) == Rank::Closed) {
            return broken;
        }
        for list in [Rank::Closed, Rank::Broken] {
            while let Some(entry) = self.entries.get(self.lists[list as usize].oldest as usize) {
                let (at, current) = (self.lists[list as usize].oldest, rank(&entry.value));
                if current <= list {
                    return at;
                }
                self.unlink(at);
                self.link(at, current);
            }
        }
        self.lists[Rank::Manual as usize].oldest
    }

    #[inline]
    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, rank, .. } = self.entries[at as usize];
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.lists[rank as usize].oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.lists[rank as usize].newest = older,
        }
    }

    /// Adds an entry, which is in no list, as the newest of its rank.
    #[inline]
    fn link(&mut self, at: u32, rank: Rank) {
        let list = &mut self.lists[rank as usize];
        let older = mem::replace(&mut list.newest, at);
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = at,
            None => list.oldest = at,
        }
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer, entry.rank) = (older, NONE, rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::panics::catch;
    use proptest::prelude::*;
    use std::cell::Cell;

    type Map = Lru<u8, (u32, Rank)>;

    fn rank(value: &(u32, Rank)) -> Rank {
        value.1
    }

    /// The keys, list by list from the oldest to the newest. Checks the links in both directions, and the table.
    fn order<K: Eq + Copy, V>(map: &Lru<K, V>) -> Vec<K> {
        let mut all = Vec::new();
        for list in &map.lists {
            let walk = |mut at: u32, next: fn(&Entry<K, V>) -> u32| {
                let mut walked = Vec::new();
                while let Some(entry) = map.entries.get(at as usize) {
                    assert_eq!(map.index(entry.hash, &entry.key), Some(at));
                    walked.push(at);
                    at = next(entry);
                }
                walked
            };
            let forth = walk(list.oldest, |entry| entry.newer);
            let mut back = walk(list.newest, |entry| entry.older);
            back.reverse();
            assert_eq!(forth, back);
            all.extend(forth);
        }
        assert_eq!((all.len(), map.indices.len()), (map.entries.len(), map.entries.len()));
        all.into_iter().map(|at| map.entries[at as usize].key).collect()
    }

    #[test]
    fn the_oldest_of_the_lowest_rank_is_evicted() {
        use Rank::{Broken, Closed, Manual};
        let gone = |ranks: &[Rank]| {
            let mut map = Map::new(ranks.len());
            for (key, rank) in (0_u8..).zip(ranks) {
                assert_eq!(map.insert(key.into(), key, (0, *rank), self::rank), None);
            }
            let (gone, _) = map.insert(200, 200, (0, Closed), rank).unwrap();
            order(&map);
            gone
        };
        assert_eq!(gone(&[Closed, Closed, Closed]), 0);
        assert_eq!(gone(&[Broken, Manual, Closed]), 2);
        assert_eq!(gone(&[Broken, Broken, Manual]), 0);
        assert_eq!(gone(&[Manual, Broken, Broken]), 1);
        assert_eq!(gone(&[Manual, Manual, Manual]), 0);
        assert_eq!(gone(&[Manual]), 0);
        assert_eq!(gone(&[&[Broken; 100][..], &[Closed]].concat()), 100);
        assert_eq!(gone(&[&[Manual; 100][..], &[Broken, Broken]].concat()), 100);
    }

    #[test]
    fn a_changed_rank_moves_an_entry_and_an_idle_one_is_evicted_first() {
        use Rank::{Broken, Closed, Manual};
        let mut map = Map::new(4);
        for key in 0..4_u8 {
            map.insert(key.into(), key, (u32::from(key), Closed), rank);
        }
        map.set_rank(0, |value| value.0 == 0, |_| Broken);
        map.set_rank(1, |value| value.0 == 1, |_| Manual);
        map.set_rank(2, |value| value.0 == 9, |_| Manual);
        assert_eq!(order(&map), [2, 3, 0, 1]);
        // 0 has the rank `Broken`, and is idle by now.
        assert_eq!(map.insert(4, 4, (4, Closed), rank).map(|(key, _)| key), Some(0));
        map.set_rank(1, |value| value.0 == 1, |_| Closed);
        assert_eq!(order(&map), [2, 3, 4, 1]);
    }

    #[test]
    fn a_flood_checks_each_entry_once_for_each_change() {
        use Rank::{Broken, Closed};
        let asked = Cell::new(0_u64);
        let rank = |value: &Rank| {
            asked.set(asked.get() + 1);
            *value
        };
        let mut map = Lru::new(20_000);
        for key in 0..120_000_u64 {
            // No rank was set: the flood finds that half of the map is broken.
            map.insert(key, key, if key < 10_000 { Broken } else { Closed }, rank);
        }
        assert!(asked.get() <= 2 * 100_000 + 10_000, "{}", asked.get());
        assert_eq!((0..10_000).filter(|key| map.peek(*key, key).is_some()).count(), 10_000);
    }

    thread_local! {
        static PANICS: Cell<bool> = const { Cell::new(false) };
    }

    #[derive(Clone, Copy, Debug)]
    struct Explosive(u8);

    impl PartialEq for Explosive {
        fn eq(&self, other: &Self) -> bool {
            assert!(!PANICS.get(), "on purpose");
            self.0 == other.0
        }
    }

    impl Eq for Explosive {}

    #[test]
    fn a_key_that_panics_leaves_the_map_as_it_was() {
        let mut map = Lru::new(3);
        for key in 0..3 {
            map.insert(7, Explosive(key), key, |_| Rank::Closed);
        }
        let before: Vec<u8> = order(&map).into_iter().map(|key| key.0).collect();
        PANICS.set(true);
        assert!(catch(|| map.get(7, &Explosive(0)).copied()).is_err());
        // Adding a key and evicting one run no code of keys.
        let gone = map.insert(8, Explosive(9), 9, |_| Rank::Closed).unwrap();
        PANICS.set(false);
        assert_eq!((before, gone.1), (vec![0, 1, 2], 0));
        assert_eq!(order(&map).into_iter().map(|key| key.0).collect::<Vec<_>>(), [1, 2, 9]);
    }

    proptest! {
        #[test]
        fn it_equals_a_list_in_the_order_of_use(
            most in 1_usize..30,
            // Few hashes, so that keys collide.
            steps in prop::collection::vec((0_u8..40, 0_u8..4), 0..400),
        ) {
            let mut map = Map::new(most);
            let mut oracle: Vec<(u8, u32)> = Vec::new();
            for (number, (key, what)) in (0..).zip(steps) {
                let hash = u64::from(key % 7);
                let known = oracle.iter().position(|(other, _)| *other == key);
                if what == 0 {
                    prop_assert_eq!(map.peek(hash, &key).map(|value| value.0), known.map(|at| oracle[at].1));
                    continue;
                }
                prop_assert_eq!(map.get(hash, &key).map(|value| value.0), known.map(|at| oracle[at].1));
                let gone = match known {
                    Some(at) => {
                        let used = oracle.remove(at);
                        oracle.push(used);
                        None
                    }
                    None => {
                        let gone = (oracle.len() == most).then(|| oracle.remove(0));
                        oracle.push((key, number));
                        let evicted = map.insert(hash, key, (number, Rank::Closed), rank);
                        prop_assert_eq!(evicted.map(|(key, value)| (key, value.0)), gone);
                        gone
                    }
                };
                prop_assert!(gone.is_none_or(|(key, _)| map.peek(u64::from(key % 7), &key).is_none()));
                prop_assert_eq!(order(&map), oracle.iter().map(|(key, _)| *key).collect::<Vec<_>>());
            }
        }
    }
}
