//! The store in a file gives the same answers as the store in memory.
//!
//! The store in memory scans all letters; the file uses lanes, causes and sums. The test uses letters that failed long after
//! they were parked, ids without a time, and many causes or few, in random order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::store::{
    Claim, Entry, Fingerprint, LetterFilter, LetterId, Limits, MemoryStore, Owner, PurgeRecord, Settled,
    SqliteStore, Store, WhenFull,
};
use fastrand::Rng;

const HOUR: Duration = Duration::from_secs(3_600);

/// Rounded to the microsecond, as in a store.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_micros(since.as_micros() as u64)
}

struct Both {
    file: SqliteStore,
    memory: Arc<MemoryStore>,
    queue: Arc<str>,
    rng: Rng,
    causes: u64,
    started: SystemTime,
    owners: [Owner; 2],
    known: Vec<Entry>,
}

impl Both {
    fn entry(&mut self) -> Entry {
        let rng = &mut self.rng;
        // Whole hours. Filters use half hours, so that no time lies between the answers.
        let failed = self.started - HOUR * rng.u32(..5);
        let mut id = LetterId::new().to_bytes();
        if rng.u8(..4) == 0 {
            rng.fill(&mut id[..6]);
        }
        let cause = rng.u64(..self.causes);
        Entry {
            id: LetterId::from_bytes(id),
            queue: Arc::clone(&self.queue),
            component: format!("component-{}", cause % 3).into(),
            kind: FailureKind::ALL[rng.usize(..3)],
            fingerprint: Fingerprint::from_bits(cause.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            first_failed: failed - HOUR * rng.u32(..3),
            last_failed: failed,
            due: (rng.u8(..3) == 0).then(|| self.started + HOUR * rng.u32(..6) - HOUR * 3),
            expires: (rng.u8(..4) == 0).then(|| self.started + HOUR * rng.u32(..6) - HOUR * 2),
            set_aside: rng.u8(..6) == 0,
            head: vec![b'h'; rng.usize(..40)],
            body: vec![b'b'; rng.usize(..40)],
        }
    }

    fn any_id(&mut self) -> LetterId {
        let known = self.rng.usize(..self.known.len().max(1));
        self.known.get(known).map_or_else(LetterId::new, |entry| entry.id)
    }

    fn filter(&mut self) -> LetterFilter {
        let half = HOUR / 2;
        let mut filter = LetterFilter::all();
        if self.rng.u8(..4) == 0 {
            filter = LetterFilter::older_than(HOUR * self.rng.u32(..6) + half);
        } else if self.rng.u8(..12) == 0 {
            filter = LetterFilter::id(self.any_id());
        }
        if self.rng.u8(..4) == 0 {
            filter = filter.newer_than(HOUR * self.rng.u32(..6) + half);
        }
        if self.rng.u8(..4) == 0 {
            filter = filter.component(format!("component-{}", self.rng.u8(..4)));
        }
        if self.rng.u8(..4) == 0 {
            filter = filter.kind(FailureKind::ALL[self.rng.usize(..4)]);
        }
        if self.rng.u8(..4) == 0
            && let Some(entry) = self.rng.choice(&self.known)
        {
            filter = filter.fingerprint(entry.fingerprint);
        }
        if self.rng.u8(..4) == 0 {
            filter = filter.set_aside(self.rng.bool());
        }
        if self.rng.u8(..5) == 0 {
            filter = filter.after(self.any_id());
        }
        if self.rng.u8(..5) == 0 {
            filter = filter.up_to(self.any_id());
        }
        if self.rng.u8(..3) == 0 {
            filter = filter.limit(self.rng.usize(..12));
        }
        filter
    }

    async fn change(&mut self) {
        let (file, memory, queue) = (self.file.clone(), Arc::clone(&self.memory), Arc::clone(&self.queue));
        let owner = self.owners[self.rng.usize(..2)];
        match self.rng.u8(..20) {
            0..10 => {
                let entry = if self.rng.u8(..20) == 0
                    && let Some(entry) = self.rng.choice(&self.known)
                {
                    entry.clone()
                } else {
                    self.entry()
                };
                let when_full = if self.rng.bool() { WhenFull::DropOldest } else { WhenFull::RefuseNew };
                let limits = Limits { capacity: 120, bytes: 4_500, when_full };
                self.known.push(entry.clone());
                let put = file.put(entry.clone(), limits).await.unwrap();
                assert_eq!(put, memory.put(entry, limits).await.unwrap());
            }
            10..13 => {
                let filter = self.filter();
                let lease = HOUR * self.rng.u32(..2);
                let due_by = self.rng.bool().then(|| self.started + HOUR * self.rng.u32(..3) - HOUR / 2);
                let claim = Claim { owner, now: now(), lease, due_by, bytes: u64::MAX };
                let claimed = file.claim(&queue, &filter, claim).await.unwrap();
                assert_eq!(
                    claimed,
                    memory.claim(&queue, &filter, claim).await.unwrap(),
                    "{filter:?} {claim:?}"
                );
                let ids: Vec<LetterId> = claimed.iter().map(|entry| entry.id).collect();
                let claim = Claim { lease: HOUR, ..claim };
                let renewed = file.renew(&queue, &ids, claim).await.unwrap();
                assert_eq!(renewed, memory.renew(&queue, &ids, claim).await.unwrap());
            }
            13..17 => {
                let mut settled = Vec::new();
                for _ in 0..self.rng.usize(..6) {
                    let id = self.any_id();
                    let entry = Entry { id, ..self.entry() };
                    settled.push(match self.rng.u8(..4) {
                        0 => Settled::Delivered(id),
                        1 => Settled::Failed(entry),
                        2 => Settled::Changed(entry),
                        _ => Settled::Released(id),
                    });
                }
                let done = file.settle(&queue, owner, settled.clone()).await.unwrap();
                assert_eq!(done, memory.settle(&queue, owner, settled.clone()).await.unwrap(), "{settled:?}");
            }
            17 => {
                let record = PurgeRecord::new("operator", self.filter());
                if self.rng.bool() {
                    let done = file.purge(&queue, record.clone()).await.unwrap();
                    assert_eq!(done, memory.purge(&queue, record).await.unwrap());
                }
            }
            18 => {
                let at = self.started + HOUR * self.rng.u32(..3) - HOUR / 2;
                let expired = file.expire(&queue, at).await.unwrap();
                assert_eq!(expired, memory.expire(&queue, at).await.unwrap());
            }
            _ => {}
        }
    }

    async fn compare(&mut self) {
        let filter = self.filter();
        let (file, memory, queue) = (&self.file, &self.memory, &*self.queue);
        let listed = file.list(queue, &filter).await.unwrap();
        assert_eq!(listed, memory.list(queue, &filter).await.unwrap(), "{filter:?}");
        assert_eq!(file.count(queue, &filter).await.unwrap(), listed.len() as u64, "{filter:?}");
        let groups = file.groups(queue, &filter).await.unwrap();
        assert_eq!(groups, memory.groups(queue, &filter).await.unwrap(), "{filter:?}");
        let (depth, other) = (file.depth(queue), memory.depth(queue));
        assert_eq!((depth.waiting, depth.oldest, depth.bytes), (other.waiting, other.oldest, other.bytes));
    }
}

#[tokio::test]
async fn a_file_gives_the_same_answers_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteStore::open(folder.path().join("letters.db")).await.unwrap();
    for (number, causes) in [1, 3, 20, 400, 20, 400].into_iter().enumerate() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut both = Both {
            file: file.clone(),
            memory: Arc::default(),
            queue: format!("queue-{number}").into(),
            rng: Rng::with_seed(seed),
            causes,
            started: now(),
            owners: [Owner::new(), Owner::new()],
            known: Vec::new(),
        };
        for _ in 0..250 {
            both.change().await;
            both.compare().await;
        }
        let (queue, day) = (&*both.queue, HOUR * 24);
        let often = |frequencies: Vec<campanile::store::Frequency>| {
            frequencies.into_iter().map(|one| (one.fingerprint, one.failures)).collect::<Vec<_>>()
        };
        assert_eq!(
            often(file.frequencies(queue, day).await.unwrap()),
            often(both.memory.frequencies(queue, day).await.unwrap())
        );
        let purges = file.purges(queue).await.unwrap();
        assert_eq!(purges, both.memory.purges(queue).await.unwrap());
        file.purge(queue, PurgeRecord::new("the end", LetterFilter::all())).await.unwrap();
        assert_eq!(file.groups(queue, &LetterFilter::all()).await.unwrap(), []);
    }
}
