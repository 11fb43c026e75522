//! Checks that every store must pass.
//!
//! Each check takes any store and uses its own queues, so that all checks may run on one store at the same time.
//! They use real time, because a server has its own clock. Leases that must end last a millisecond; leases that
//! must hold last a day.
//!
//! `store_contract!` makes a test of each check. Its argument is an expression that returns the store, and a value
//! that has to live as long.

#![allow(dead_code)] // Each test binary uses some of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::FailureKind;
use campanile::store::{
    Claim, Entry, Fingerprint, LetterFilter, LetterId, Limits, Owner, PurgeRecord, Put, Settled, Store,
    WhenFull,
};

/// Makes a test of each check, on the store that the expression returns.
#[allow(unused_macros)]
macro_rules! store_contract {
    ($($check:ident)*; $open:expr) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let (store, _alive) = $open;
            $crate::store_checks::$check(&store).await;
        }
    )*};
    ($open:expr) => {
        $crate::store_checks::store_contract! {
            an_entry_is_returned_unchanged
            a_second_put_changes_nothing
            a_list_has_an_order_and_pages
            each_condition_of_a_filter_applies
            ages_of_a_filter_are_exact
            a_count_is_as_long_as_the_list
            a_group_describes_all_its_letters
            groups_apply_the_filter
            failures_are_counted_by_cause
            fingerprints_beyond_a_limit_are_counted_together
            the_bytes_of_a_claim_are_limited
            a_full_store_refuses
            a_full_store_drops_the_oldest
            a_full_store_drops_the_letter_that_arrived_first
            a_letter_dated_ahead_is_dated_back_to_now
            the_bytes_of_a_queue_are_limited
            a_full_store_without_a_spill_refuses
            a_held_letter_is_not_claimed_again
            concurrent_claims_share_no_letter
            a_claim_applies_filter_and_limit
            a_claim_leaves_out_letters_that_are_not_due
            a_claim_leaves_out_expired_letters
            a_claim_leaves_out_letters_that_are_set_aside
            a_lapsed_lease_frees_a_letter
            a_renewed_lease_holds
            a_renewed_lease_is_counted_from_now
            a_delivered_letter_is_removed
            a_failed_letter_replaces_the_old_one
            a_changed_letter_counts_no_failure
            a_released_letter_is_free
            a_letter_of_another_owner_is_not_changed
            settling_a_removed_letter_does_nothing
            a_purge_removes_letters_and_keeps_a_record
            a_purge_applies_its_filter
            only_the_last_purges_are_kept
            expired_letters_are_removed
            the_depth_is_current
            queues_are_independent
            unusual_names_and_bytes_are_preserved
            many_letters_are_listed_in_order;
            $open
        }
    };
}
#[allow(unused_imports)]
pub(crate) use store_contract;

const DAY: Duration = Duration::from_secs(86_400);

/// Limits that no check reaches.
pub(crate) const WIDE: Limits =
    Limits { capacity: 1_000_000, bytes: 1 << 40, when_full: WhenFull::RefuseNew };

/// A name that no other check uses.
pub(crate) fn queue(name: &str) -> Arc<str> {
    format!("{name} {}", LetterId::new()).into()
}

/// Now, to the microsecond, as stores keep it.
pub(crate) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(since.as_micros()).unwrap())
}

/// A letter that failed just now.
pub(crate) fn entry(queue: &Arc<str>) -> Entry {
    let now = now();
    Entry {
        id: LetterId::new(),
        queue: Arc::clone(queue),
        component: "payments".into(),
        kind: FailureKind::Error,
        fingerprint: Fingerprint::from_bits(7),
        first_failed: now,
        last_failed: now,
        due: None,
        expires: None,
        set_aside: false,
        head: b"head".to_vec(),
        body: b"body".to_vec(),
    }
}

pub(crate) async fn put(store: &dyn Store, entry: &Entry) {
    assert_eq!(store.put(entry.clone(), WIDE).await.unwrap(), Put::Kept { evicted: 0 });
}

/// Puts `letters` letters, each changed by `change`.
pub(crate) async fn put_many(
    store: &dyn Store,
    queue: &Arc<str>,
    letters: usize,
    change: impl Fn(usize, &mut Entry),
) -> Vec<Entry> {
    let mut all = Vec::new();
    for number in 0..letters {
        let mut entry = entry(queue);
        change(number, &mut entry);
        put(store, &entry).await;
        all.push(entry);
    }
    all
}

pub(crate) fn ids(entries: &[Entry]) -> Vec<LetterId> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn listed(store: &dyn Store, queue: &str, filter: LetterFilter) -> Vec<LetterId> {
    ids(&store.list(queue, &filter).await.unwrap())
}

fn claim_for(owner: Owner, lease: Duration) -> Claim {
    Claim { owner, now: now(), lease, due_by: None, bytes: u64::MAX }
}

/// Claims all letters for a day.
pub(crate) async fn claim(store: &dyn Store, queue: &str, owner: Owner) -> Vec<LetterId> {
    ids(&store.claim(queue, &LetterFilter::all(), claim_for(owner, DAY)).await.unwrap())
}

/// Claims as soon as another owner's short lease has ended.
async fn claim_lapsed(store: &dyn Store, queue: &str, owner: Owner) -> Vec<LetterId> {
    for _ in 0..5_000 {
        let claimed = claim(store, queue, owner).await;
        if !claimed.is_empty() {
            return claimed;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("a lease of a millisecond has not ended");
}

// ===== putting =====

pub(crate) async fn an_entry_is_returned_unchanged(store: &dyn Store) {
    let queue = queue("full");
    let full = Entry {
        kind: FailureKind::Rejected,
        fingerprint: Fingerprint::from_bits(u64::MAX - 3),
        first_failed: now() - DAY,
        due: Some(now() + DAY),
        expires: Some(now() + 2 * DAY),
        set_aside: true,
        head: (0..=255).collect(),
        body: (0..=255).rev().collect(),
        ..entry(&queue)
    };
    let plain = Entry { head: Vec::new(), body: Vec::new(), ..entry(&queue) };
    for entry in [&full, &plain] {
        put(store, entry).await;
        assert_eq!(store.get(&queue, entry.id).await.unwrap().as_ref(), Some(entry));
    }
    assert_eq!(store.get(&queue, LetterId::new()).await.unwrap(), None);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), [full, plain]);
}

pub(crate) async fn a_second_put_changes_nothing(store: &dyn Store) {
    let queue = queue("twice");
    let first = entry(&queue);
    put(store, &first).await;
    put(store, &Entry { head: b"another".to_vec(), component: "others".into(), ..first.clone() }).await;
    // Not even when the queue is full.
    let narrow = Limits { capacity: 1, ..WIDE };
    assert_eq!(store.put(first.clone(), narrow).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), std::slice::from_ref(&first));
    let frequencies = store.frequencies(&queue, DAY).await.unwrap();
    assert_eq!(frequencies.iter().map(|one| one.failures).sum::<u64>(), 1);
    assert_eq!(store.groups(&queue, &LetterFilter::all()).await.unwrap()[0].letters, 1);
}

// ===== listing =====

pub(crate) async fn a_list_has_an_order_and_pages(store: &dyn Store) {
    let queue = queue("pages");
    let mut all: Vec<Entry> = (0..10).map(|_| entry(&queue)).collect();
    // Parked in another order than their ids were made.
    for entry in all.iter().rev() {
        put(store, entry).await;
    }
    all.sort_by_key(|entry| entry.id);
    let all = ids(&all);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, all);
    assert_eq!(listed(store, &queue, LetterFilter::all().limit(4)).await, all[..4]);
    assert_eq!(listed(store, &queue, LetterFilter::all().limit(4).after(all[3])).await, all[4..8]);
    assert_eq!(listed(store, &queue, LetterFilter::all().limit(4).after(all[7])).await, all[8..]);
    assert_eq!(listed(store, &queue, LetterFilter::all().up_to(all[2])).await, all[..3]);
    assert_eq!(listed(store, &queue, LetterFilter::all().after(all[1]).up_to(all[2])).await, all[2..3]);
    assert!(listed(store, &queue, LetterFilter::all().after(all[9])).await.is_empty());
    assert!(listed(store, &queue, LetterFilter::all().limit(0)).await.is_empty());
}

pub(crate) async fn each_condition_of_a_filter_applies(store: &dyn Store) {
    let queue = queue("filters");
    let hour = Duration::from_secs(3_600);
    let entries = put_many(store, &queue, 5, |number, entry| match number {
        0 => entry.component = "mails".into(),
        1 => entry.kind = FailureKind::Timeout,
        2 => entry.fingerprint = Fingerprint::from_bits(8),
        3 => entry.set_aside = true,
        _ => entry.last_failed = now() - 2 * hour,
    })
    .await;
    let id = ids(&entries);
    for (filter, wanted) in [
        (LetterFilter::all(), vec![0, 1, 2, 3, 4]),
        (LetterFilter::id(id[2]), vec![2]),
        (LetterFilter::id(LetterId::new()), vec![]),
        (LetterFilter::all().component("mails"), vec![0]),
        (LetterFilter::all().component("payments"), vec![1, 2, 3, 4]),
        (LetterFilter::all().component("pay"), vec![]),
        (LetterFilter::all().kind(FailureKind::Timeout), vec![1]),
        (LetterFilter::all().kind(FailureKind::Panic), vec![]),
        (LetterFilter::all().fingerprint(Fingerprint::from_bits(8)), vec![2]),
        (LetterFilter::all().set_aside(true), vec![3]),
        (LetterFilter::all().set_aside(false), vec![0, 1, 2, 4]),
        (LetterFilter::older_than(hour), vec![4]),
        (LetterFilter::all().newer_than(hour), vec![0, 1, 2, 3]),
        (LetterFilter::all().component("payments").kind(FailureKind::Error).set_aside(false), vec![2, 4]),
        (LetterFilter::all().component("payments").kind(FailureKind::Error).limit(1), vec![2]),
        (LetterFilter::all().component("payments").after(id[1]).up_to(id[3]), vec![2, 3]),
        (LetterFilter::id(id[2]).component("mails"), vec![]),
    ] {
        let wanted: Vec<LetterId> = wanted.into_iter().map(|at: usize| id[at]).collect();
        assert_eq!(listed(store, &queue, filter.clone()).await, wanted, "{filter:?}");
        assert_eq!(store.count(&queue, &filter).await.unwrap(), wanted.len() as u64, "{filter:?}");
    }
}

pub(crate) async fn ages_of_a_filter_are_exact(store: &dyn Store) {
    let queue = queue("moments");
    put_many(store, &queue, 1, |_, entry| entry.last_failed = now() - DAY).await;
    let second = Duration::from_secs(1);
    for (filter, there) in [
        (LetterFilter::older_than(DAY), true),
        (LetterFilter::older_than(DAY + 60 * second), false),
        (LetterFilter::all().newer_than(DAY + 60 * second), true),
        (LetterFilter::all().newer_than(DAY), false),
    ] {
        assert_eq!(store.count(&queue, &filter).await.unwrap(), u64::from(there), "{filter:?}");
    }
}

pub(crate) async fn a_count_is_as_long_as_the_list(store: &dyn Store) {
    let queue = queue("counts");
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 0);
    let entries = put_many(store, &queue, 7, |number, entry| entry.set_aside = number % 2 == 0).await;
    for filter in [
        LetterFilter::all(),
        LetterFilter::all().limit(3),
        LetterFilter::all().limit(100),
        LetterFilter::all().set_aside(true).limit(2),
        LetterFilter::all().component("payments").after(entries[2].id),
        LetterFilter::all().fingerprint(Fingerprint::from_bits(7)).up_to(entries[2].id),
    ] {
        let list = listed(store, &queue, filter.clone()).await;
        assert_eq!(store.count(&queue, &filter).await.unwrap(), list.len() as u64, "{filter:?}");
    }
}

// ===== groups and frequencies =====

pub(crate) async fn a_group_describes_all_its_letters(store: &dyn Store) {
    let queue = queue("groups");
    assert!(store.groups(&queue, &LetterFilter::all()).await.unwrap().is_empty());
    let start = now() - DAY;
    let entries = put_many(store, &queue, 6, |number, entry| {
        // Two of one cause, three of another, one of a third.
        entry.fingerprint = Fingerprint::from_bits([1, 1, 2, 2, 2, 3][number]);
        entry.first_failed = start + Duration::from_secs(number as u64);
        entry.last_failed = start + Duration::from_secs(100 - number as u64);
    })
    .await;
    let groups = store.groups(&queue, &LetterFilter::all()).await.unwrap();
    let summary: Vec<_> = groups.iter().map(|group| (group.fingerprint.to_bits(), group.letters)).collect();
    assert_eq!(summary, [(2, 3), (1, 2), (3, 1)]);
    assert_eq!(groups[0].first_seen, entries[2].first_failed);
    assert_eq!(groups[0].last_seen, entries[2].last_failed);
    assert_eq!(groups[0].example, entries[4], "the newest");
    assert_eq!(store.groups(&queue, &LetterFilter::all().limit(2)).await.unwrap(), groups[..2]);

    // Removed letters count for the first and last failure while the group exists.
    let owner = Owner::new();
    let delivered = [2, 4].map(|at| Settled::Delivered(entries[at as usize].id)).to_vec();
    assert_eq!(store.settle(&queue, owner, delivered).await.unwrap(), [true, true]);
    let groups =
        store.groups(&queue, &LetterFilter::all().fingerprint(Fingerprint::from_bits(2))).await.unwrap();
    assert_eq!((groups.len(), groups[0].letters), (1, 1));
    assert_eq!(groups[0].first_seen, entries[2].first_failed);
    assert_eq!(groups[0].last_seen, entries[2].last_failed);
    assert_eq!(groups[0].example, entries[3]);

    // When the last letter of a group fails again, the group continues.
    assert_eq!(claim(store, &queue, owner).await.len(), 4);
    let again = Entry { last_failed: now(), ..entries[3].clone() };
    assert_eq!(store.settle(&queue, owner, vec![Settled::Failed(again.clone())]).await.unwrap(), [true]);
    let groups =
        store.groups(&queue, &LetterFilter::all().fingerprint(Fingerprint::from_bits(2))).await.unwrap();
    assert_eq!(groups[0].first_seen, entries[2].first_failed);
    assert_eq!(groups[0].last_seen, again.last_failed);
    assert_eq!(groups[0].example, again);
}

pub(crate) async fn groups_apply_the_filter(store: &dyn Store) {
    let queue = queue("some groups");
    let entries = put_many(store, &queue, 6, |number, entry| {
        entry.fingerprint = Fingerprint::from_bits(number as u64 % 2);
        entry.component = if number < 3 { "mails".into() } else { "payments".into() };
        entry.set_aside = number == 5;
    })
    .await;
    let of = async |filter: LetterFilter| {
        let groups = store.groups(&queue, &filter).await.unwrap();
        groups.iter().map(|one| (one.fingerprint.to_bits(), one.letters, one.example.id)).collect::<Vec<_>>()
    };
    let id = ids(&entries);
    assert_eq!(of(LetterFilter::all().component("mails")).await, [(0, 2, id[2]), (1, 1, id[1])]);
    assert_eq!(of(LetterFilter::all().component("payments")).await, [(1, 2, id[5]), (0, 1, id[4])]);
    assert_eq!(of(LetterFilter::all().set_aside(true)).await, [(1, 1, id[5])]);
    assert_eq!(of(LetterFilter::all().up_to(id[3]).limit(1)).await, [(0, 2, id[2])]);
    assert_eq!(of(LetterFilter::all().fingerprint(Fingerprint::from_bits(1))).await, [(1, 3, id[5])]);
    assert!(of(LetterFilter::all().kind(FailureKind::Panic)).await.is_empty());
}

pub(crate) async fn failures_are_counted_by_cause(store: &dyn Store) {
    let queue = queue("frequencies");
    let hour = Duration::from_secs(3_600);
    let entries = put_many(store, &queue, 6, |number, entry| {
        entry.fingerprint = Fingerprint::from_bits([1, 2, 2, 2, 3, 4][number]);
        match number {
            0 => entry.component = "mails".into(),
            3 => entry.kind = FailureKind::Error,
            4 => entry.last_failed = now() - 2 * hour,
            5 => entry.last_failed = now() - 3 * DAY,
            _ => {}
        }
    })
    .await;
    let of = async |last: Duration| {
        let all = store.frequencies(&queue, last).await.unwrap();
        all.iter()
            .map(|one| (one.fingerprint.to_bits(), one.component.to_string(), one.kind, one.failures))
            .collect::<Vec<_>>()
    };
    let (mails, payments) = ("mails".to_owned(), "payments".to_owned());
    let error = FailureKind::Error;
    assert_eq!(of(hour).await, [(2, payments.clone(), error, 3), (1, mails.clone(), error, 1)]);

    // Delivered letters still count, and a letter that fails again counts twice.
    let owner = Owner::new();
    assert_eq!(claim(store, &queue, owner).await.len(), 6);
    let again = Entry { last_failed: now(), ..entries[0].clone() };
    let settled = vec![Settled::Delivered(entries[1].id), Settled::Failed(again)];
    assert_eq!(store.settle(&queue, owner, settled).await.unwrap(), [true, true]);
    assert_eq!(of(hour).await, [(2, payments.clone(), error, 3), (1, mails.clone(), error, 2)]);
    let whole_day = [(2, payments.clone(), error, 3), (1, mails, error, 2), (3, payments, error, 1)];
    assert_eq!(of(DAY).await, whole_day);
    assert_eq!(of(30 * DAY).await, whole_day, "it looks back one day at most");
}

pub(crate) async fn fingerprints_beyond_a_limit_are_counted_together(store: &dyn Store) {
    const LETTERS: usize = 300;
    let queue = queue("causes");
    // All in the same past minute.
    let minute = now() - Duration::from_secs(120);
    put_many(store, &queue, LETTERS, |number, entry| {
        entry.fingerprint = Fingerprint::from_bits(1 + number as u64);
        entry.last_failed = minute;
    })
    .await;
    let again = Entry { last_failed: minute, fingerprint: Fingerprint::from_bits(1), ..entry(&queue) };
    put(store, &again).await;
    let frequencies = store.frequencies(&queue, DAY).await.unwrap();
    let of = |bits| frequencies.iter().find(|one| one.fingerprint == bits).map(|one| one.failures);
    assert_eq!(frequencies.len(), 257);
    assert_eq!(of(Fingerprint::OTHER), Some(LETTERS as u64 - 256));
    assert_eq!(of(Fingerprint::from_bits(1)), Some(2), "a known fingerprint is still counted separately");
    // Groups are not limited.
    assert_eq!(store.groups(&queue, &LetterFilter::all()).await.unwrap().len(), LETTERS);
}

pub(crate) async fn the_bytes_of_a_claim_are_limited(store: &dyn Store) {
    const SIZE: usize = 1_200_000;
    let queue = queue("bytes");
    let entries = put_many(store, &queue, 5, |_, entry| entry.body = vec![b'x'; SIZE]).await;
    let claim = |bytes| Claim { bytes, ..claim_for(Owner::new(), DAY) };
    let claimed = async |bytes| ids(&store.claim(&queue, &LetterFilter::all(), claim(bytes)).await.unwrap());
    assert_eq!(claimed(1).await, ids(&entries[..1]), "at least one letter is claimed");
    assert_eq!(claimed(SIZE as u64 + 100).await, ids(&entries[1..3]));
    assert_eq!(claimed(u64::MAX).await, ids(&entries[3..]), "letters beyond the limit are still free");
}

// ===== limits =====

pub(crate) async fn a_full_store_refuses(store: &dyn Store) {
    let queue = queue("refuses");
    let limits = Limits { capacity: 3, ..WIDE };
    for _ in 0..3 {
        assert_eq!(store.put(entry(&queue), limits).await.unwrap(), Put::Kept { evicted: 0 });
    }
    assert_eq!(store.put(entry(&queue), limits).await.unwrap(), Put::Full);
    let all = listed(store, &queue, LetterFilter::all()).await;
    assert_eq!(all.len(), 3);
    store.settle(&queue, Owner::new(), vec![Settled::Delivered(all[0])]).await.unwrap();
    assert_eq!(store.put(entry(&queue), limits).await.unwrap(), Put::Kept { evicted: 0 });
    let frequencies = store.frequencies(&queue, DAY).await.unwrap();
    assert_eq!(frequencies[0].failures, 4, "refused letters are not counted");
}

pub(crate) async fn a_full_store_drops_the_oldest(store: &dyn Store) {
    let queue = queue("drops");
    let limits = Limits { capacity: 3, when_full: WhenFull::DropOldest, ..WIDE };
    let entries: Vec<Entry> = (0..5).map(|_| entry(&queue)).collect();
    let mut evicted = Vec::new();
    for entry in &entries {
        evicted.push(store.put(entry.clone(), limits).await.unwrap());
    }
    let kept = |evicted| Put::Kept { evicted };
    assert_eq!(evicted, [kept(0), kept(0), kept(0), kept(1), kept(1)]);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, ids(&entries[2..]));
    // A lower limit takes effect with the next put.
    let lower = Limits { capacity: 2, ..limits };
    assert_eq!(store.put(entry(&queue), lower).await.unwrap(), kept(2));
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 2);
}

pub(crate) async fn a_full_store_drops_the_letter_that_arrived_first(store: &dyn Store) {
    let queue = queue("first come");
    let limits = Limits { capacity: 3, when_full: WhenFull::DropOldest, ..WIDE };
    // Ids from clocks that are ahead or behind.
    let of = |year: u8| Entry { id: LetterId::from_bytes([year; 16]), ..entry(&queue) };
    let entries = [of(0xf0), of(0x03), of(0x80), of(0x02), of(0xf1)];
    for entry in &entries[..3] {
        store.put(entry.clone(), limits).await.unwrap();
    }
    // A letter that fails again keeps its place in the order of arrival.
    let owner = Owner::new();
    claim(store, &queue, owner).await;
    let again = vec![Settled::Failed(entries[0].clone())];
    assert_eq!(store.settle(&queue, owner, again).await.unwrap(), [true]);
    for (entry, gone) in entries[3..].iter().zip(&entries) {
        assert_eq!(store.put(entry.clone(), limits).await.unwrap(), Put::Kept { evicted: 1 });
        assert_eq!(store.get(&queue, gone.id).await.unwrap(), None);
    }
    let left = [3, 2, 4].map(|at: usize| entries[at].id);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, left);
}

pub(crate) async fn a_letter_dated_ahead_is_dated_back_to_now(store: &dyn Store) {
    let queue = queue("ahead");
    let second = Duration::from_secs(1);
    let letters = put_many(store, &queue, 2, |number, entry| {
        entry.last_failed += 30 * DAY;
        entry.due = Some(entry.last_failed + if number == 0 { second / 100 } else { DAY });
        entry.expires = Some(entry.last_failed + DAY);
    })
    .await;
    put(store, &entry(&queue)).await;
    tokio::time::sleep(second / 50).await;
    let due = Claim { due_by: Some(now()), ..claim_for(Owner::new(), DAY) };
    let claimed =
        store.claim(&queue, &LetterFilter::all().kind(FailureKind::Error).limit(2), due).await.unwrap();
    assert_eq!(claimed.len(), 2);
    assert_eq!(claimed[0].id, letters[0].id);
    let counted = store.frequencies(&queue, DAY).await.unwrap();
    assert_eq!(counted.iter().map(|one| one.failures).sum::<u64>(), 3);
    assert_eq!(store.expire(&queue, now()).await.unwrap(), 0);
    assert_eq!(store.expire(&queue, now() + 2 * DAY).await.unwrap(), 2);
}

pub(crate) async fn the_bytes_of_a_queue_are_limited(store: &dyn Store) {
    let queue = queue("bytes");
    let of = |bytes: usize| Entry { head: vec![1; bytes / 2], body: vec![2; bytes / 2], ..entry(&queue) };
    let limits = Limits { bytes: 100, ..WIDE };
    let kept = |evicted| Put::Kept { evicted };
    assert_eq!(store.put(of(60), limits).await.unwrap(), kept(0));
    assert_eq!(store.put(of(42), limits).await.unwrap(), Put::Full);
    assert_eq!(store.put(of(40), limits).await.unwrap(), kept(0));
    let drops = Limits { when_full: WhenFull::DropOldest, ..limits };
    // A letter that can never fit does not evict others.
    assert_eq!(store.put(of(102), drops).await.unwrap(), Put::Full);
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 2);
    assert_eq!(store.put(of(50), drops).await.unwrap(), kept(1));
    assert_eq!(store.put(of(100), drops).await.unwrap(), kept(2));
}

pub(crate) async fn a_full_store_without_a_spill_refuses(store: &dyn Store) {
    let queue = queue("spills");
    let limits = Limits { capacity: 1, when_full: WhenFull::Spill, ..WIDE };
    assert_eq!(store.put(entry(&queue), limits).await.unwrap(), Put::Kept { evicted: 0 });
    assert_eq!(store.put(entry(&queue), limits).await.unwrap(), Put::Full, "the store has no spill");
}

// ===== claims =====

pub(crate) async fn a_held_letter_is_not_claimed_again(store: &dyn Store) {
    let queue = queue("held");
    let entries = put_many(store, &queue, 3, |_, _| {}).await;
    let (one, other) = (Owner::new(), Owner::new());
    assert_eq!(store.claim(&queue, &LetterFilter::all(), claim_for(one, DAY)).await.unwrap(), entries);
    assert!(claim(store, &queue, other).await.is_empty());
    assert!(claim(store, &queue, one).await.is_empty(), "not even by the same owner");
    let more = put_many(store, &queue, 1, |_, _| {}).await;
    assert_eq!(claim(store, &queue, other).await, ids(&more));
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 4, "claimed letters still wait");
}

pub(crate) async fn concurrent_claims_share_no_letter(store: &dyn Store) {
    let queue = queue("crowd");
    let entries = put_many(store, &queue, 60, |_, _| {}).await;
    let claims = (0..8).map(|_| async {
        let owner = Owner::new();
        let mut mine = Vec::new();
        loop {
            let some =
                store.claim(&queue, &LetterFilter::all().limit(3), claim_for(owner, DAY)).await.unwrap();
            if some.is_empty() {
                return mine;
            }
            mine.extend(ids(&some));
            tokio::task::yield_now().await;
        }
    });
    let mut claimed = join_all(claims).await.concat();
    claimed.sort();
    assert_eq!(claimed, ids(&entries));
}

pub(crate) async fn a_claim_applies_filter_and_limit(store: &dyn Store) {
    let queue = queue("some");
    let entries = put_many(store, &queue, 6, |number, entry| {
        entry.component = if number % 2 == 0 { "mails".into() } else { "payments".into() };
    })
    .await;
    let owner = Owner::new();
    let of =
        async |filter: LetterFilter| ids(&store.claim(&queue, &filter, claim_for(owner, DAY)).await.unwrap());
    assert!(of(LetterFilter::all().limit(0)).await.is_empty());
    assert_eq!(of(LetterFilter::all().component("mails").limit(2)).await, [entries[0].id, entries[2].id]);
    assert_eq!(of(LetterFilter::id(entries[5].id)).await, [entries[5].id]);
    assert!(of(LetterFilter::id(entries[5].id)).await.is_empty());
    assert_eq!(of(LetterFilter::all().limit(2)).await, [entries[1].id, entries[3].id]);
    assert_eq!(of(LetterFilter::all()).await, [entries[4].id]);
}

pub(crate) async fn a_claim_leaves_out_letters_that_are_not_due(store: &dyn Store) {
    let queue = queue("due");
    let start = now();
    let entries = put_many(store, &queue, 5, |number, entry| {
        let second = Duration::from_secs(1);
        entry.due =
            [Some(start + 60 * second), None, Some(start - second), Some(start + 5 * second), None][number];
    })
    .await;
    let id = ids(&entries);
    let by = async |filter: LetterFilter, due_by: Option<SystemTime>| {
        let claim = Claim { due_by, ..claim_for(Owner::new(), DAY) };
        ids(&store.claim(&queue, &filter, claim).await.unwrap())
    };
    assert_eq!(by(LetterFilter::all().limit(2), Some(start)).await, [id[1], id[2]]);
    assert_eq!(by(LetterFilter::all(), Some(start)).await, [id[4]]);
    assert!(by(LetterFilter::all(), Some(start + Duration::from_secs(4))).await.is_empty());
    assert_eq!(
        by(LetterFilter::all(), Some(start + Duration::from_secs(5))).await,
        [id[3]],
        "exactly at its due time"
    );
    assert_eq!(by(LetterFilter::all(), None).await, [id[0]]);
}

pub(crate) async fn a_claim_leaves_out_expired_letters(store: &dyn Store) {
    let queue = queue("stale");
    let start = now();
    let entries = put_many(store, &queue, 3, |number, entry| {
        entry.expires = [Some(start - DAY), Some(start + DAY), None][number];
    })
    .await;
    assert_eq!(claim(store, &queue, Owner::new()).await, ids(&entries[1..]));
    assert_eq!(
        store.count(&queue, &LetterFilter::all()).await.unwrap(),
        3,
        "expired letters stay until `expire`"
    );
}

pub(crate) async fn a_claim_leaves_out_letters_that_are_set_aside(store: &dyn Store) {
    let queue = queue("aside");
    let entries = put_many(store, &queue, 3, |number, entry| entry.set_aside = number == 1).await;
    let id = ids(&entries);
    assert_eq!(claim(store, &queue, Owner::new()).await, [id[0], id[2]]);
    let asked = store.claim(&queue, &LetterFilter::all().set_aside(true), claim_for(Owner::new(), DAY)).await;
    assert_eq!(ids(&asked.unwrap()), [id[1]]);
}

pub(crate) async fn a_lapsed_lease_frees_a_letter(store: &dyn Store) {
    let queue = queue("lapsed");
    let entries = put_many(store, &queue, 2, |_, _| {}).await;
    let (dead, other) = (Owner::new(), Owner::new());
    // The owner has a long and a short lease. Only the short one ends.
    let long = claim_for(dead, DAY);
    let claimed = store.claim(&queue, &LetterFilter::all().limit(1), long).await.unwrap();
    assert_eq!(ids(&claimed), [entries[0].id]);
    let short = claim_for(dead, Duration::from_millis(1));
    let claimed = store.claim(&queue, &LetterFilter::all(), short).await.unwrap();
    assert_eq!(ids(&claimed), [entries[1].id]);
    assert_eq!(claim_lapsed(store, &queue, other).await, [entries[1].id]);
    assert!(claim(store, &queue, Owner::new()).await.is_empty(), "it is held again");
    // The first owner has lost it, and can neither renew its lease nor record a failure.
    let id = entries[1].id;
    assert!(store.renew(&queue, &[id], claim_for(dead, DAY)).await.unwrap().is_empty());
    let settled = vec![Settled::Failed(entries[1].clone()), Settled::Released(id)];
    assert_eq!(store.settle(&queue, dead, settled).await.unwrap(), [false, false]);
    assert!(claim(store, &queue, Owner::new()).await.is_empty());
    // A delivery is recorded by any owner.
    assert_eq!(store.settle(&queue, dead, vec![Settled::Delivered(id)]).await.unwrap(), [true]);
}

pub(crate) async fn a_renewed_lease_holds(store: &dyn Store) {
    let queue = queue("renewed");
    let entries = put_many(store, &queue, 3, |_, _| {}).await;
    let (one, other) = (Owner::new(), Owner::new());
    let short = claim_for(one, Duration::from_millis(1));
    let claimed = store.claim(&queue, &LetterFilter::all().limit(2), short).await.unwrap();
    assert_eq!(ids(&claimed), ids(&entries[..2]));
    // A lease that has ended can be renewed while no other owner has claimed the letter.
    let asked = [entries[0].id, entries[2].id, LetterId::new()];
    assert_eq!(store.renew(&queue, &asked, claim_for(one, DAY)).await.unwrap(), [entries[0].id]);
    assert!(store.renew(&queue, &asked, claim_for(other, DAY)).await.unwrap().is_empty());
    let mut got = claim_lapsed(store, &queue, other).await;
    while got.len() < 2 {
        got.extend(claim_lapsed(store, &queue, other).await);
    }
    got.sort();
    assert_eq!(got, ids(&entries[1..]));
}

pub(crate) async fn a_renewed_lease_is_counted_from_now(store: &dyn Store) {
    let queue = queue("shortened");
    let entries = put_many(store, &queue, 1, |_, _| {}).await;
    let one = Owner::new();
    assert_eq!(claim(store, &queue, one).await, ids(&entries));
    let short = claim_for(one, Duration::from_millis(1));
    assert_eq!(store.renew(&queue, &ids(&entries), short).await.unwrap(), ids(&entries));
    assert_eq!(claim_lapsed(store, &queue, Owner::new()).await, ids(&entries));
}

// ===== settling =====

pub(crate) async fn a_delivered_letter_is_removed(store: &dyn Store) {
    let queue = queue("delivered");
    let entries = put_many(store, &queue, 3, |_, _| {}).await;
    let owner = Owner::new();
    claim(store, &queue, owner).await;
    let delivered = |at: usize| Settled::Delivered(entries[at].id);
    let done = store.settle(&queue, owner, vec![delivered(0), delivered(2), delivered(0)]).await.unwrap();
    assert_eq!(done, [true, true, false]);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, [entries[1].id]);
    assert_eq!(store.get(&queue, entries[0].id).await.unwrap(), None);
    assert!(store.renew(&queue, &ids(&entries), claim_for(owner, DAY)).await.unwrap() == [entries[1].id]);
    assert!(store.settle(&queue, owner, Vec::new()).await.unwrap().is_empty());
}

pub(crate) async fn a_failed_letter_replaces_the_old_one(store: &dyn Store) {
    let queue = queue("failed");
    let entries = put_many(store, &queue, 2, |_, _| {}).await;
    let owner = Owner::new();
    claim(store, &queue, owner).await;
    let changed = Entry {
        component: "others".into(),
        kind: FailureKind::Overload,
        fingerprint: Fingerprint::from_bits(9),
        last_failed: now(),
        due: Some(now() - DAY),
        expires: Some(now() + DAY),
        head: b"a longer head".to_vec(),
        body: Vec::new(),
        ..entries[0].clone()
    };
    let settled = store.settle(&queue, owner, vec![Settled::Failed(changed.clone())]).await.unwrap();
    assert_eq!(settled, [true]);
    assert_eq!(store.get(&queue, changed.id).await.unwrap().as_ref(), Some(&changed));
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, ids(&entries));
    assert_eq!(listed(store, &queue, LetterFilter::all().component("others")).await, [changed.id]);
    assert_eq!(listed(store, &queue, LetterFilter::all().component("payments")).await, [entries[1].id]);
    assert_eq!(
        listed(store, &queue, LetterFilter::all().fingerprint(changed.fingerprint)).await,
        [changed.id]
    );
    assert_eq!(store.depth(&queue).bytes, changed.size() + entries[1].size());
    // It is free again.
    assert_eq!(claim(store, &queue, Owner::new()).await, [changed.id]);

    let aside = Entry { set_aside: true, ..entries[1].clone() };
    store.settle(&queue, owner, vec![Settled::Failed(aside)]).await.unwrap();
    assert!(claim(store, &queue, Owner::new()).await.is_empty());
    assert_eq!(listed(store, &queue, LetterFilter::all().set_aside(true)).await, [entries[1].id]);
}

pub(crate) async fn a_changed_letter_counts_no_failure(store: &dyn Store) {
    let queue = queue("changed");
    let entries = put_many(store, &queue, 2, |_, _| {}).await;
    let (one, other) = (Owner::new(), Owner::new());
    assert_eq!(claim(store, &queue, one).await, ids(&entries));
    let changed = |at: usize| Entry { set_aside: true, head: b"changed".to_vec(), ..entries[at].clone() };
    let settled = vec![Settled::Changed(changed(0)), Settled::Changed(entry(&queue))];
    assert_eq!(store.settle(&queue, one, settled).await.unwrap(), [true, false]);
    assert_eq!(store.settle(&queue, other, vec![Settled::Changed(changed(1))]).await.unwrap(), [false]);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), [changed(0), entries[1].clone()]);
    let asked = store.claim(&queue, &LetterFilter::all().set_aside(true), claim_for(other, DAY)).await;
    assert_eq!(asked.unwrap(), [changed(0)]);
    assert_eq!(store.frequencies(&queue, DAY).await.unwrap()[0].failures, 2);
}

pub(crate) async fn a_released_letter_is_free(store: &dyn Store) {
    let queue = queue("released");
    let entries = put_many(store, &queue, 2, |_, _| {}).await;
    let owner = Owner::new();
    claim(store, &queue, owner).await;
    let released = store.settle(&queue, owner, vec![Settled::Released(entries[1].id)]).await.unwrap();
    assert_eq!(released, [true]);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), entries, "the letters are unchanged");
    assert_eq!(claim(store, &queue, Owner::new()).await, [entries[1].id]);
}

pub(crate) async fn a_letter_of_another_owner_is_not_changed(store: &dyn Store) {
    let queue = queue("anothers");
    let entries = put_many(store, &queue, 2, |_, _| {}).await;
    let (one, other) = (Owner::new(), Owner::new());
    assert_eq!(claim(store, &queue, one).await, ids(&entries));
    let changed = Entry { head: b"changed".to_vec(), ..entries[0].clone() };
    let settled = vec![Settled::Failed(changed), Settled::Released(entries[0].id)];
    assert_eq!(store.settle(&queue, other, settled).await.unwrap(), [false, false]);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), entries);
    assert!(claim(store, &queue, other).await.is_empty());
    // A delivery is recorded by any owner.
    let settled = vec![Settled::Delivered(entries[0].id)];
    assert_eq!(store.settle(&queue, other, settled).await.unwrap(), [true]);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, [entries[1].id]);
}

pub(crate) async fn settling_a_removed_letter_does_nothing(store: &dyn Store) {
    let queue = queue("gone");
    let gone = entry(&queue);
    let settled =
        vec![Settled::Delivered(gone.id), Settled::Failed(gone.clone()), Settled::Released(gone.id)];
    assert_eq!(store.settle(&queue, Owner::new(), settled).await.unwrap(), [false; 3]);
    assert_eq!(store.count(&queue, &LetterFilter::all()).await.unwrap(), 0);
    assert!(store.frequencies(&queue, DAY).await.unwrap().is_empty());
}

// ===== purging and expiring =====

pub(crate) async fn a_purge_removes_letters_and_keeps_a_record(store: &dyn Store) {
    let queue = queue("purged");
    assert!(store.purges(&queue).await.unwrap().is_empty());
    let entries = put_many(store, &queue, 4, |_, _| {}).await;
    claim(store, &queue, Owner::new()).await;
    let asked = PurgeRecord::new("someone", LetterFilter::all().up_to(entries[1].id));
    let first = store.purge(&queue, asked.clone()).await.unwrap();
    assert_eq!((first.purged, &first.by, &first.filter), (2, &asked.by, &asked.filter));
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, ids(&entries[2..]));
    let second = store.purge(&queue, PurgeRecord::new("another", LetterFilter::all())).await.unwrap();
    let third = store.purge(&queue, PurgeRecord::new("another", LetterFilter::all())).await.unwrap();
    assert_eq!((second.purged, third.purged), (2, 0));
    assert_eq!(store.purges(&queue).await.unwrap(), [third, second, first]);
    assert!(store.groups(&queue, &LetterFilter::all()).await.unwrap().is_empty());
    assert_eq!(store.depth(&queue).bytes, 0);
}

pub(crate) async fn a_purge_applies_its_filter(store: &dyn Store) {
    let queue = queue("purged in part");
    let entries = put_many(store, &queue, 6, |number, entry| {
        entry.component = if number % 2 == 0 { "mails".into() } else { "payments".into() };
    })
    .await;
    let purge = async |filter: LetterFilter| {
        store.purge(&queue, PurgeRecord::new("someone", filter)).await.unwrap().purged
    };
    assert_eq!(purge(LetterFilter::all().component("mails").limit(2)).await, 2);
    assert_eq!(purge(LetterFilter::id(entries[5].id)).await, 1);
    assert_eq!(purge(LetterFilter::all().limit(0)).await, 0);
    let left = [1, 3, 4].map(|at: usize| entries[at].id);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, left);
}

pub(crate) async fn only_the_last_purges_are_kept(store: &dyn Store) {
    const KEPT: usize = 1_000;
    let queue = queue("purges");
    for number in 0..KEPT + 3 {
        let record = PurgeRecord::new(number.to_string(), LetterFilter::all());
        store.purge(&queue, record).await.unwrap();
    }
    let purges = store.purges(&queue).await.unwrap();
    assert_eq!(purges.len(), KEPT);
    assert_eq!(purges[0].by, (KEPT + 2).to_string());
    assert_eq!(purges[KEPT - 1].by, "3");
}

pub(crate) async fn expired_letters_are_removed(store: &dyn Store) {
    let queue = queue("expired");
    let start = now();
    let entries = put_many(store, &queue, 4, |number, entry| {
        entry.expires = [None, Some(start), Some(start + Duration::from_secs(1)), Some(start - DAY)][number];
    })
    .await;
    assert_eq!(store.expire(&queue, start).await.unwrap(), 2);
    assert_eq!(store.expire(&queue, start).await.unwrap(), 0);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, [entries[0].id, entries[2].id]);
    assert_eq!(store.expire(&queue, start + Duration::from_secs(1)).await.unwrap(), 1);
}

// ===== depth, independence, unusual values =====

pub(crate) async fn the_depth_is_current(store: &dyn Store) {
    let queue = queue("depth");
    assert_eq!(store.depth(&queue).waiting, 0);
    let entries = put_many(store, &queue, 3, |number, entry| entry.body = vec![0; number]).await;
    let depth = store.depth(&queue);
    assert_eq!((depth.waiting, depth.bytes), (3, 4 + 5 + 6));
    assert_eq!(depth.oldest, Some(entries[0].id.made_at()));
    store.settle(&queue, Owner::new(), vec![Settled::Delivered(entries[0].id)]).await.unwrap();
    let depth = store.depth(&queue);
    assert_eq!((depth.waiting, depth.bytes), (2, 5 + 6));
    assert_eq!(depth.oldest, Some(entries[1].id.made_at()));
    store.purge(&queue, PurgeRecord::new("someone", LetterFilter::all())).await.unwrap();
    let depth = store.depth(&queue);
    assert_eq!((depth.waiting, depth.bytes, depth.oldest), (0, 0, None));
}

pub(crate) async fn queues_are_independent(store: &dyn Store) {
    let (one, other) = (queue("one"), queue("other"));
    let entries = put_many(store, &one, 2, |_, _| {}).await;
    // Both queues may hold a letter with the same id.
    let twin = Entry { queue: Arc::clone(&other), ..entries[0].clone() };
    put(store, &twin).await;
    assert_eq!(listed(store, &other, LetterFilter::all()).await, [twin.id]);
    assert_eq!(claim(store, &other, Owner::new()).await, [twin.id]);
    assert_eq!(store.get(&other, entries[1].id).await.unwrap(), None);
    store.settle(&other, Owner::new(), vec![Settled::Delivered(twin.id)]).await.unwrap();
    store.purge(&other, PurgeRecord::new("someone", LetterFilter::all())).await.unwrap();
    assert_eq!(store.expire(&other, now()).await.unwrap(), 0);
    assert_eq!(claim(store, &one, Owner::new()).await, ids(&entries));
    assert!(store.purges(&one).await.unwrap().is_empty());
    assert_eq!(store.depth(&one).waiting, 2);
    assert_eq!(store.frequencies(&one, DAY).await.unwrap()[0].failures, 2);
    let limits = Limits { capacity: 1, ..WIDE };
    assert_eq!(store.put(entry(&other), limits).await.unwrap(), Put::Kept { evicted: 0 });
}

pub(crate) async fn unusual_names_and_bytes_are_preserved(store: &dyn Store) {
    for name in ["{a}", "a}:{b", "50% | of\n*\0[x]", "größe", "a:b"] {
        let queue = queue(name);
        let entries = put_many(store, &queue, 4, |number, entry| {
            entry.component = ["a|b", "a", "a\0b%", "*"][number].into();
            entry.head = b"{}\r\n|$-1\0\xff".to_vec();
        })
        .await;
        assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), entries);
        for entry in &entries {
            let filter = LetterFilter::all().component(&*entry.component);
            assert_eq!(store.list(&queue, &filter).await.unwrap(), std::slice::from_ref(entry));
            assert_eq!(store.count(&queue, &filter).await.unwrap(), 1);
        }
        let frequencies = store.frequencies(&queue, DAY).await.unwrap();
        assert_eq!(frequencies[0].failures, 4);
        let groups = store.groups(&queue, &LetterFilter::all()).await.unwrap();
        assert_eq!(groups[0].example, entries[3]);
        let record = PurgeRecord::new("a\n|b\0", LetterFilter::all().component("a|b"));
        let record = store.purge(&queue, record).await.unwrap();
        assert_eq!(record.purged, 1);
        assert_eq!(store.purges(&queue).await.unwrap(), [record]);
        assert_eq!(claim(store, &queue, Owner::new()).await, ids(&entries[1..]));
    }
}

/// More letters than fit into one answer of a server.
pub(crate) async fn many_letters_are_listed_in_order(store: &dyn Store) {
    const LETTERS: usize = 2_500;
    let queue = queue("many");
    let entries: Vec<Entry> = (0..LETTERS)
        .map(|number| {
            let mut entry = entry(&queue);
            entry.component = if number % 500 == 3 { "rare".into() } else { "payments".into() };
            entry.last_failed -= if number % 500 == 4 { DAY } else { Duration::ZERO };
            entry.fingerprint = Fingerprint::from_bits(number as u64 % 700);
            entry.body = vec![b'x'; 2_000];
            entry.due = (number % 2 == 1).then(|| now() + DAY);
            entry.expires = (number % 2 == 0).then(|| now() + DAY);
            entry
        })
        .collect();
    for some in entries.chunks(100) {
        join_all(some.iter().map(|entry| put(store, entry))).await;
    }
    let all = ids(&entries);
    assert_eq!(listed(store, &queue, LetterFilter::all()).await, all);
    assert_eq!(listed(store, &queue, LetterFilter::all().limit(1_500)).await, all[..1_500]);
    let every_500th = |first: usize| all.iter().skip(first).step_by(500).copied().collect::<Vec<_>>();
    assert_eq!(listed(store, &queue, LetterFilter::all().component("rare")).await, every_500th(3));
    assert_eq!(listed(store, &queue, LetterFilter::older_than(DAY / 2)).await, every_500th(4));
    assert_eq!(store.count(&queue, &LetterFilter::older_than(DAY / 2)).await.unwrap(), 5);
    assert_eq!(store.count(&queue, &LetterFilter::all().newer_than(DAY / 2)).await.unwrap(), 2_495);
    let groups = store.groups(&queue, &LetterFilter::all()).await.unwrap();
    assert_eq!(groups.len(), 700);
    assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), LETTERS as u64);
    let groups = store.groups(&queue, &LetterFilter::all().newer_than(DAY / 2).limit(3)).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).collect::<Vec<_>>(), [4, 4, 4]);

    let due = Claim { due_by: Some(now()), ..claim_for(Owner::new(), DAY) };
    let claimed = store.claim(&queue, &LetterFilter::all().limit(1_200), due).await.unwrap();
    let even: Vec<LetterId> = all.iter().step_by(2).copied().collect();
    assert_eq!(ids(&claimed), even[..1_200]);
    assert_eq!(store.renew(&queue, &all, due).await.unwrap(), even[..1_200]);
    let delivered = ids(&claimed).into_iter().map(Settled::Delivered).collect();
    assert_eq!(store.settle(&queue, due.owner, delivered).await.unwrap(), [true; 1_200]);
    assert_eq!(store.expire(&queue, now() + 2 * DAY).await.unwrap(), 50);
    let record = PurgeRecord::new("someone", LetterFilter::all().component("payments"));
    assert_eq!(store.purge(&queue, record).await.unwrap().purged, 1_245);
    assert_eq!(store.purges(&queue).await.unwrap().len(), 1);
    assert_eq!(
        listed(store, &queue, LetterFilter::all()).await,
        [all[3], all[503], all[1_003], all[1_503], all[2_003]]
    );
}

async fn join_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (future, done) in &mut waiting {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}
