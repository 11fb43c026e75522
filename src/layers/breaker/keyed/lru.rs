//! A bounded map that gives up what is worth least, and of that what was not used for longest.
//!
//! Entries lie in a vector and are linked by their places in it, in one list for each [`Worth`]; the table holds places
//! alone. Hashes come in from outside and are kept, so of a key's own code nothing but `Eq` runs here, and only before
//! anything is changed: its panic leaves the map as it was.
//!
//! What an entry is worth changes outside, and is filed here a moment later ([`Lru::file`]). So the entry that is to go
//! is asked first: one that is worth more by now moves to its list, and the next is asked. Each entry moves once for each
//! change, however many keys come: a key more costs the same with ten entries and with a million.
//!
//! `lru` 0.19 keeps pointers in its table, which doubles some time after the map is full: with it, a map of 10,000
//! circuits grows by 3.1 % while new keys replace old ones, and a key takes 920 bytes instead of 873.

use std::mem;

use hashbrown::HashTable;

/// No entry.
const NONE: u32 = u32::MAX;

/// What an entry is worth when one has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Made anew, it would be the same before long.
    Little,
    /// What it knows took failures to learn.
    Much,
    /// An operator set it.
    Set,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    /// Places of entries, by the hashes of their keys.
    places: HashTable<u32>,
    entries: Vec<Entry<K, V>>,
    /// By [`Worth`].
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
    /// As it was filed last.
    worth: Worth,
}

/// The ends of a list in the order of use.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
}

impl<K: Eq, V> Lru<K, V> {
    /// A map of `most` entries, from 1 to 2^31.
    pub(super) fn new(most: usize) -> Self {
        let lists = [List { oldest: NONE, newest: NONE }; 3];
        Self { places: HashTable::new(), entries: Vec::new(), lists, most }
    }

    /// The value of `key`, which counts as used now.
    #[inline]
    pub(super) fn get(&mut self, hash: u64, key: &K) -> Option<&V> {
        let at = self.place(hash, key)?;
        let worth = self.entries[at as usize].worth;
        if at != self.lists[worth as usize].newest {
            self.unlink(at);
            self.link(at, worth);
        }
        Some(&self.entries[at as usize].value)
    }

    /// The value of `key`.
    pub(super) fn peek(&self, hash: u64, key: &K) -> Option<&V> {
        self.place(hash, key).map(|at| &self.entries[at as usize].value)
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// Files the entry of that hash for which `is_it` holds, if it is still there. The change counts as a use.
    pub(super) fn file(&mut self, hash: u64, is_it: impl Fn(&V) -> bool, worth: impl FnOnce(&V) -> Worth) {
        let entries = &self.entries;
        let found = self.places.find(hash, |place| {
            let entry = &entries[*place as usize];
            entry.hash == hash && is_it(&entry.value)
        });
        if let Some(at) = found.copied() {
            let worth = worth(&self.entries[at as usize].value);
            self.unlink(at);
            self.link(at, worth);
        }
    }

    /// Takes in a key that is not there, as used now and worth little. Gives back what it gave up for that, when it was
    /// full. `worth` tells what an entry is worth now.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        worth: impl Fn(&V) -> Worth,
    ) -> Option<(K, V)> {
        let entry = Entry { hash, key, value, older: NONE, newer: NONE, worth: Worth::Little };
        let (at, gone) = if self.entries.len() < self.most {
            (self.push(entry), None)
        } else {
            let at = self.least(worth);
            self.unlink(at);
            if let Ok(place) = self.places.find_entry(self.entries[at as usize].hash, |place| *place == at) {
                place.remove();
            }
            let gone = mem::replace(&mut self.entries[at as usize], entry);
            (at, Some((gone.key, gone.value)))
        };
        let entries = &self.entries;
        self.places.insert_unique(hash, at, |place| entries[*place as usize].hash);
        self.link(at, Worth::Little);
        gone
    }

    #[inline]
    fn place(&self, hash: u64, key: &K) -> Option<u32> {
        let is_it = |place: &u32| {
            let entry = &self.entries[*place as usize];
            entry.hash == hash && entry.key == *key
        };
        self.places.find(hash, is_it).copied()
    }

    #[allow(clippy::cast_possible_truncation)] // `most` is no more than 2^31.
    fn push(&mut self, entry: Entry<K, V>) -> u32 {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            // Doubled, but never beyond what can come.
            self.entries.reserve_exact(len.max(4).min(self.most - len));
        }
        self.entries.push(entry);
        len as u32
    }

    /// The entry to give up.
    fn least(&mut self, worth: impl Fn(&V) -> Worth) -> u32 {
        // What was worth much may have lost it with time alone.
        let much = self.lists[Worth::Much as usize].oldest;
        if self.entries.get(much as usize).is_some_and(|entry| worth(&entry.value) == Worth::Little) {
            return much;
        }
        for filed in [Worth::Little, Worth::Much] {
            while let Some(entry) = self.entries.get(self.lists[filed as usize].oldest as usize) {
                let (at, worth) = (self.lists[filed as usize].oldest, worth(&entry.value));
                if worth <= filed {
                    return at;
                }
                self.unlink(at);
                self.link(at, worth);
            }
        }
        self.lists[Worth::Set as usize].oldest
    }

    #[inline]
    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, worth, .. } = self.entries[at as usize];
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.lists[worth as usize].oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.lists[worth as usize].newest = older,
        }
    }

    /// Makes an entry that is not linked the newest of what is worth as much.
    #[inline]
    fn link(&mut self, at: u32, worth: Worth) {
        let list = &mut self.lists[worth as usize];
        let older = mem::replace(&mut list.newest, at);
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = at,
            None => list.oldest = at,
        }
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer, entry.worth) = (older, NONE, worth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::panics::catch;
    use proptest::prelude::*;
    use std::cell::Cell;

    type Map = Lru<u8, (u32, Worth)>;

    fn worth(value: &(u32, Worth)) -> Worth {
        value.1
    }

    /// List by list from the oldest to the newest, checked against the way back and against the table.
    fn order<K: Eq + Copy, V>(map: &Lru<K, V>) -> Vec<K> {
        let mut all = Vec::new();
        for list in &map.lists {
            let walk = |mut at: u32, next: fn(&Entry<K, V>) -> u32| {
                let mut walked = Vec::new();
                while let Some(entry) = map.entries.get(at as usize) {
                    assert_eq!(map.place(entry.hash, &entry.key), Some(at));
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
        assert_eq!((all.len(), map.places.len()), (map.entries.len(), map.entries.len()));
        all.into_iter().map(|at| map.entries[at as usize].key).collect()
    }

    #[test]
    fn what_is_worth_least_goes_and_of_that_the_oldest() {
        use Worth::{Little, Much, Set};
        let gone = |worths: &[Worth]| {
            let mut map = Map::new(worths.len());
            for (key, worth) in (0_u8..).zip(worths) {
                assert_eq!(map.insert(key.into(), key, (0, *worth), self::worth), None);
            }
            let (gone, _) = map.insert(200, 200, (0, Little), worth).unwrap();
            order(&map);
            gone
        };
        assert_eq!(gone(&[Little, Little, Little]), 0);
        assert_eq!(gone(&[Much, Set, Little]), 2);
        assert_eq!(gone(&[Much, Much, Set]), 0);
        assert_eq!(gone(&[Set, Much, Much]), 1);
        assert_eq!(gone(&[Set, Set, Set]), 0);
        assert_eq!(gone(&[Set]), 0);
        assert_eq!(gone(&[&[Much; 100][..], &[Little]].concat()), 100);
        assert_eq!(gone(&[&[Set; 100][..], &[Much, Much]].concat()), 100);
    }

    #[test]
    fn what_is_filed_anew_moves_and_what_loses_its_worth_with_time_goes_first() {
        use Worth::{Little, Much, Set};
        let mut map = Map::new(4);
        for key in 0..4_u8 {
            map.insert(key.into(), key, (u32::from(key), Little), worth);
        }
        map.file(0, |value| value.0 == 0, |_| Much);
        map.file(1, |value| value.0 == 1, |_| Set);
        map.file(2, |value| value.0 == 9, |_| Set);
        assert_eq!(order(&map), [2, 3, 0, 1]);
        // 0 is filed as worth much, and is worth little by now.
        assert_eq!(map.insert(4, 4, (4, Little), worth).map(|(key, _)| key), Some(0));
        map.file(1, |value| value.0 == 1, |_| Little);
        assert_eq!(order(&map), [2, 3, 4, 1]);
    }

    #[test]
    fn a_flood_asks_each_entry_once_for_each_change() {
        use Worth::{Little, Much};
        let asked = Cell::new(0_u64);
        let worth = |value: &Worth| {
            asked.set(asked.get() + 1);
            *value
        };
        let mut map = Lru::new(20_000);
        for key in 0..120_000_u64 {
            // None was filed: half of the map is found out to be worth much by the flood.
            map.insert(key, key, if key < 10_000 { Much } else { Little }, worth);
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
            map.insert(7, Explosive(key), key, |_| Worth::Little);
        }
        let before: Vec<u8> = order(&map).into_iter().map(|key| key.0).collect();
        PANICS.set(true);
        assert!(catch(|| map.get(7, &Explosive(0)).copied()).is_err());
        // Taking in a key, and giving one up, asks no key for anything.
        let gone = map.insert(8, Explosive(9), 9, |_| Worth::Little).unwrap();
        PANICS.set(false);
        assert_eq!((before, gone.1), (vec![0, 1, 2], 0));
        assert_eq!(order(&map).into_iter().map(|key| key.0).collect::<Vec<_>>(), [1, 2, 9]);
    }

    proptest! {
        #[test]
        fn it_is_a_list_in_the_order_of_use(
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
                        let given_up = map.insert(hash, key, (number, Worth::Little), worth);
                        prop_assert_eq!(given_up.map(|(key, value)| (key, value.0)), gone);
                        gone
                    }
                };
                prop_assert!(gone.is_none_or(|(key, _)| map.peek(u64::from(key % 7), &key).is_none()));
                prop_assert_eq!(order(&map), oracle.iter().map(|(key, _)| *key).collect::<Vec<_>>());
            }
        }
    }
}
