//! Where things wait.
//!
//! A span is some 300 bytes, and two threads that put theirs into one vector would wait for each other's cache
//! lines at every span. So each thread has a lane of its own, and takes places for it out of the common room in
//! lots: the common number is touched once in a lot.

use crate::lanes::Lanes;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A bounded queue: many put in, one takes out everything.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lanes: Lanes<Lane<T>>,
    room: Room,
    capacity: usize,
    /// Places that a lane takes at once.
    lot: usize,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Lane<T> {
    waiting: Mutex<Waiting<T>>,
    /// What the waiting ones are swapped against, with the capacity that it grew: for the one who takes out.
    spare: Mutex<Vec<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    items: Vec<T>,
    /// Places that are taken out of the room and not filled.
    places: usize,
}

/// Places that no lane has, and in the highest bit whether the queue is closed.
#[derive(Debug)]
#[repr(align(128))]
struct Room(AtomicUsize);

const CLOSED: usize = 1 << (usize::BITS - 1);

/// Why something found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// More would leave too many places unused in lanes whose threads are idle.
const LARGEST_LOT: usize = 32;

impl<T> Default for Lane<T> {
    fn default() -> Self {
        let waiting = Mutex::new(Waiting { items: Vec::new(), places: 0 });
        Self { waiting, spare: Mutex::new(Vec::new()) }
    }
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(CLOSED - 1);
        let lot = (capacity / 64).clamp(1, LARGEST_LOT);
        Self { lanes: Lanes::new(), room: Room(AtomicUsize::new(capacity)), capacity, lot }
    }

    /// Puts `item` in. Now and then it tells how many places are taken.
    #[inline]
    pub(super) fn push(&self, item: T) -> Result<Option<usize>, Refused> {
        let mut taken = None;
        let mut waiting = self.lanes.own(Lane::default).waiting.lock();
        if waiting.places == 0 {
            match self.take_lot() {
                Ok((places, all)) => {
                    waiting.places = places;
                    taken = Some(all);
                }
                Err(refused) => {
                    // Before the item is dropped: that may run anything.
                    drop(waiting);
                    return Err(refused);
                }
            }
        }
        waiting.places -= 1;
        waiting.items.push(item);
        Ok(taken)
    }

    /// Takes places out of the room; gives how many, and how many are taken now in all.
    fn take_lot(&self) -> Result<(usize, usize), Refused> {
        let take = |room: usize| (room & CLOSED == 0 && room > 0).then(|| room - room.min(self.lot));
        match self.room.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(room) => {
                let places = room.min(self.lot);
                Ok((places, self.capacity - room + places))
            }
            Err(room) if room & CLOSED != 0 => Err(Refused::Closed),
            Err(_) => Err(Refused::Full),
        }
    }

    /// Takes out all that waits. For one thread at a time.
    pub(super) fn take(&self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len());
        for lane in self.lanes.iter() {
            let mut spare = lane.spare.lock();
            let freed = {
                let mut waiting = lane.waiting.lock();
                std::mem::swap(&mut waiting.items, &mut spare);
                std::mem::take(&mut waiting.places) + spare.len()
            };
            self.room.0.fetch_add(freed, Ordering::AcqRel);
            let moved = spare.len();
            all.append(&mut spare);
            // What a burst needed is given back when it is over.
            if spare.capacity() > 4 * moved + 64 {
                *spare = Vec::new();
            }
        }
        all
    }

    /// Lets nothing more in; `false` if that was so already.
    pub(super) fn close(&self) -> bool {
        let open = self.room.0.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0;
        // A lane that has places was there before.
        for lane in self.lanes.iter() {
            let mut waiting = lane.waiting.lock();
            let places = std::mem::take(&mut waiting.places);
            self.room.0.fetch_add(places, Ordering::AcqRel);
        }
        open
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.lock().items.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn one_thread_has_the_whole_queue() {
        for capacity in [1, 10, 64, 100, 2_048, 5_000] {
            let queue = Queue::new(capacity);
            for _ in 0..2 {
                let mut last = 0;
                (0..capacity).for_each(|item| last = queue.push(item).unwrap().unwrap_or(last));
                assert_eq!(last, capacity);
                assert_eq!(queue.push(0), Err(Refused::Full));
                assert_eq!(queue.len(), capacity);
                assert_eq!(queue.take(), (0..capacity).collect::<Vec<_>>());
            }
            assert!(queue.close());
            assert!(!queue.close());
            assert_eq!(queue.push(0), Err(Refused::Closed));
        }
    }

    #[test]
    fn many_threads_lose_nothing_and_stay_within_the_bound() {
        const THREADS: usize = 12;
        const EACH: usize = 20_000;
        let queue = Queue::new(1_000);
        let ended = AtomicBool::new(false);
        let (mut taken, mut most) = (0, 0);
        let refused: usize = thread::scope(|scope| {
            let pushers: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| (0..EACH).filter(|item| queue.push(*item).is_err()).count()))
                .collect();
            let taker = scope.spawn(|| {
                let (mut taken, mut most) = (0, 0);
                loop {
                    let last = ended.load(Ordering::Acquire);
                    let some = queue.take().len();
                    taken += some;
                    most = most.max(some);
                    if last {
                        return (taken, most);
                    }
                }
            });
            let refused = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
            ended.store(true, Ordering::Release);
            (taken, most) = taker.join().unwrap();
            refused
        });
        assert_eq!(taken + refused, THREADS * EACH);
        // While it takes from one lane another fills: each place can serve twice in one round.
        assert!(most <= 2_000, "{most}");
        assert_eq!(queue.room.0.load(Ordering::Relaxed), 1_000, "every place came back");
    }

    #[test]
    fn a_burst_leaves_no_memory_behind() {
        let queue = Queue::new(100_000);
        (0..100_000).for_each(|item| {
            let _ = queue.push(item);
        });
        (0..3).for_each(|_| drop(queue.take()));
        let kept: usize = queue
            .lanes
            .iter()
            .map(|lane| lane.spare.lock().capacity() + lane.waiting.lock().items.capacity())
            .sum();
        assert!(kept < 1_000, "{kept}");
    }
}
