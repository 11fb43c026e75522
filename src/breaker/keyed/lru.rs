//! A bounded map that gives up what was not used for longest.
//!
//! Entries lie in a vector and are linked by their places in it; the table holds places alone. Hashes come in from
//! outside and are kept, so of a key's own code nothing but `Eq` runs here, and only before anything is changed: its
//! panic leaves the map as it was.
//!
//! `lru` 0.19 keeps pointers in its table, which doubles some time after the map is full: with it, a map of 10,000
//! circuits grows by 3.1 % while new keys replace old ones, and a key takes 920 bytes instead of 873.

use std::mem;

use hashbrown::HashTable;

/// No entry.
const NONE: u32 = u32::MAX;

/// One of this many goes: the oldest, but for those that an operator set.
const CANDIDATES: usize = 8;
/// At most this many are looked at for that.
const LOOKS: usize = 64;

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
    oldest: u32,
    newest: u32,
    most: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
    older: u32,
    newer: u32,
}

impl<K: Eq, V> Lru<K, V> {
    /// A map of `most` entries, from 1 to 2^31.
    pub(super) fn new(most: usize) -> Self {
        Self { places: HashTable::new(), entries: Vec::new(), oldest: NONE, newest: NONE, most }
    }

    /// The value of `key`, which counts as used now.
    #[inline]
    pub(super) fn get(&mut self, hash: u64, key: &K) -> Option<&V> {
        let at = self.place(hash, key)?;
        if at != self.newest {
            self.unlink(at);
            self.link(at);
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

    /// Takes in a key that is not there, as used now. What it gives up for that, when it is full, is worth least
    /// among the oldest.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        worth: impl Fn(&V) -> Worth,
    ) -> Option<(K, V)> {
        let entry = Entry { hash, key, value, older: NONE, newer: NONE };
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
        self.link(at);
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

    /// The entry to give up. One that an operator set is taken for used instead, unless all that are looked at are like
    /// that.
    fn least(&mut self, worth: impl Fn(&V) -> Worth) -> u32 {
        let mut least = (Worth::Set, self.oldest);
        let mut candidates = 0;
        let mut next = self.oldest;
        for _ in 0..LOOKS.min(self.entries.len()) {
            let at = next;
            next = self.entries[at as usize].newer;
            let worth = worth(&self.entries[at as usize].value);
            if worth == Worth::Set {
                self.unlink(at);
                self.link(at);
                continue;
            }
            if worth < least.0 {
                least = (worth, at);
            }
            candidates += 1;
            if worth == Worth::Little || candidates == CANDIDATES {
                break;
            }
        }
        least.1
    }

    #[inline]
    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, .. } = self.entries[at as usize];
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }

    /// Makes an entry that is not linked the newest.
    #[inline]
    fn link(&mut self, at: u32) {
        let entry = &mut self.entries[at as usize];
        entry.older = self.newest;
        entry.newer = NONE;
        match self.entries.get_mut(self.newest as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    type Map = Lru<u8, (u32, Worth)>;

    fn worth(value: &(u32, Worth)) -> Worth {
        value.1
    }

    /// From the oldest to the newest, checked against the way back and against the table.
    fn order<K: Eq + Copy, V>(map: &Lru<K, V>) -> Vec<K> {
        let walk = |mut at: u32, next: fn(&Entry<K, V>) -> u32| {
            let mut walked = Vec::new();
            while let Some(entry) = map.entries.get(at as usize) {
                assert_eq!(map.place(entry.hash, &entry.key), Some(at));
                walked.push(at);
                at = next(entry);
            }
            walked
        };
        let forth = walk(map.oldest, |entry| entry.newer);
        let mut back = walk(map.newest, |entry| entry.older);
        back.reverse();
        assert_eq!(forth, back);
        assert_eq!((forth.len(), map.places.len()), (map.entries.len(), map.entries.len()));
        forth.into_iter().map(|at| map.entries[at as usize].key).collect()
    }

    #[test]
    fn the_least_worthy_of_the_oldest_goes() {
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
        assert_eq!(gone(&[Much, Much, Much, Much, Much, Much, Much, Much, Little]), 0, "too far away");
        assert_eq!(gone(&[&[Set; 63][..], &[Much, Little]].concat()), 63, "too far away");
        assert_eq!(gone(&[&[Set; 60][..], &[Much, Little]].concat()), 61);
        assert_eq!(gone(&[Set; 100]), 0);
    }

    #[test]
    fn what_somebody_set_outlives_any_number_of_others() {
        // More than are looked at in one go, but never as many side by side.
        let mut map = Lru::new(140);
        for key in 0..1_000_u64 {
            let value = if matches!(key, 0..35 | 70..105) { Worth::Set } else { Worth::Little };
            map.insert(key, key, value, |value| *value);
        }
        let set = order(&map).into_iter().filter(|key| map.peek(*key, key) == Some(&Worth::Set));
        assert_eq!((set.count(), map.entries.len()), (70, 140));
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
        assert!(catch_unwind(AssertUnwindSafe(|| map.get(7, &Explosive(0)).copied())).is_err());
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
