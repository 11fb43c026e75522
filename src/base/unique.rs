//! Unique ids: UUIDs of version 7 (RFC 9562).
//!
//! The crate `uuid` needs a system call for each id, and three more crates. Here the random bits are a SipHash of a counter
//! and the process id, with the random keys of the standard library's hash maps. The process id makes the ids of a forked
//! process different.

use std::hash::{BuildHasher, RandomState};
use std::process;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

use crate::base::sync::Mutex;

/// The last id of this process.
static LAST: Mutex<Last> = Mutex::new(Last { millis: 0, count: 0, made: 0 });

/// The key of this process.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

struct Last {
    millis: u64,
    /// The number of further ids in this millisecond (RFC 9562, section 6.2, method 1).
    count: u16,
    /// The number of ids of this process.
    made: u64,
}

/// The largest count: the 12 bits after the version.
const MOST: u16 = 0x0fff;

/// A new id. It is larger than all earlier ids of this process.
pub(crate) fn unique() -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (millis, count, made) = LAST.lock().next(u64::try_from(now).unwrap_or(u64::MAX));
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&count.to_be_bytes());
    bytes[2..].copy_from_slice(&KEY.hash_one((made, process::id())).to_be_bytes());
    Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

impl Last {
    /// The next id: its milliseconds, its number in this millisecond, and its number in this process.
    fn next(&mut self, now: u64) -> (u64, u16, u64) {
        if now > self.millis {
            (self.millis, self.count) = (now, 0);
        } else if self.count < MOST {
            self.count += 1;
        } else {
            // The clock was set back, or there were more than 4,096 ids in a millisecond. Ids must grow, so the time is advanced.
            (self.millis, self.count) = (self.millis.saturating_add(1), 0);
        }
        self.made += 1;
        (self.millis, self.count, self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn ids_of_threads_differ_and_those_of_one_thread_grow() {
        let ids: Vec<Vec<Uuid>> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..20_000).map(|_| unique()).collect())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|ids| ids.is_sorted_by(|a, b| a < b)));
        assert_eq!(ids.iter().flatten().collect::<HashSet<_>>().len(), 80_000);
        let low = |id: &Uuid| id.as_u128() & ((1 << 62) - 1);
        assert_eq!(
            ids.iter().flatten().map(low).collect::<HashSet<_>>().len(),
            80_000,
            "the random part alone"
        );
        assert_eq!(ids[0][0].get_version_num(), 7);
    }

    #[test]
    fn ids_grow_even_if_the_clock_is_set_back() {
        let mut last = Last { millis: 0, count: 0, made: 0 };
        let mut order = Vec::new();
        for now in [1_000, 1_000, 400, 1_001, 1_001] {
            (0..5_000).for_each(|_| order.push(last.next(now)));
        }
        assert!(order.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
    }
}
