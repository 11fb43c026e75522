//! The letters that a run has claimed, page by page.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::settings::Redrive;
use super::walk::Walk;
use crate::base::moment;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::queue_store::QueueStore;
use crate::store::{Claim, Entry, LetterId, Owner, StoreError};

/// The number of letters of the first page.
const FIRST_PAGE: usize = 32;

/// The smallest page, unless letters are large.
const MIN_PAGE: usize = 16;

/// The largest page. Other runs cannot claim its letters.
const MAX_PAGE: usize = 512;

/// The maximum number of bytes of a page. The last letter may exceed it.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// The next page is larger if a page lasted for less.
const SHORT: Duration = Duration::from_millis(250);

/// The next page is smaller if a page lasted for longer.
const LONG: Duration = Duration::from_secs(1);

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Claims letters, renews the claims and hands the letters out.
pub(super) struct Claims {
    store: Arc<QueueStore>,
    owner: Owner,
    lease: Duration,
    /// Whether only letters that are due are claimed.
    due_only: bool,
    /// The letters that are not claimed yet.
    walk: Walk,
    /// The size of the next page.
    size: usize,
    /// When the last page was claimed.
    claimed_at: Instant,
    /// The maximum number of bytes of the last page.
    claimed_bytes: u64,
    claiming: Option<Answer<Vec<Entry>>>,
    waiting: VecDeque<Entry>,
    /// Letters that were handed out and put back.
    put_back: VecDeque<Box<Letter>>,
    /// The letters whose claims this run holds.
    held: HashMap<LetterId, Held>,
    /// The bytes of all held letters.
    bytes: u64,
    /// No page is claimed while as many bytes are held.
    max_bytes: u64,
    renewing: Option<Renewing>,
    renew_at: Pin<Box<Sleep>>,
    /// How many letters were handed out. A letter that was put back counts once.
    pub(super) handed_out: u64,
}

struct Held {
    /// The end of the lease, at the earliest.
    until: Instant,
    bytes: u64,
}

struct Renewing {
    started: Instant,
    ids: Arc<[LetterId]>,
    answer: Answer<Vec<LetterId>>,
}

/// The next letter to send.
pub(super) enum Next {
    Letter(Box<Letter>),
    /// The store has to answer first.
    Wait,
    /// There are no more letters.
    End,
}

impl Claims {
    pub(super) fn new(
        store: &Arc<QueueStore>,
        owner: Owner,
        redrive: &Redrive,
        walk: Walk,
        due_only: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            store: Arc::clone(store),
            owner,
            lease: redrive.lease,
            due_only,
            walk,
            size: FIRST_PAGE,
            claimed_at: now,
            claimed_bytes: 0,
            claiming: None,
            waiting: VecDeque::new(),
            put_back: VecDeque::new(),
            held: HashMap::new(),
            bytes: 0,
            max_bytes: redrive.max_bytes,
            renewing: None,
            renew_at: Box::pin(sleep_until(now)),
            handed_out: 0,
        }
    }

    /// Whether this run still holds the claim of `letter`.
    pub(super) fn holds(&self, letter: &Letter) -> bool {
        self.held.get(&letter.id).is_some_and(|held| held.until > Instant::now())
    }

    /// Forgets a letter whose result is recorded, or that another run has claimed.
    pub(super) fn remove(&mut self, id: LetterId) {
        if let Some(held) = self.held.remove(&id) {
            self.bytes -= held.bytes;
        }
    }

    /// Puts back a letter that was not sent. It is the next one, unless earlier letters were put back too.
    pub(super) fn put_back(&mut self, letter: Box<Letter>) {
        let place = self.put_back.partition_point(|other| other.id < letter.id);
        self.put_back.insert(place, letter);
    }

    /// The next letter. The next page is claimed before this one ends.
    pub(super) fn next(&mut self) -> Next {
        loop {
            self.claim_page();
            let again = self.put_back.front().map(|letter| letter.id);
            let Some(id) = again.or_else(|| self.waiting.front().map(|entry| entry.id)) else {
                // The next page may wait until letters being sent leave room for it.
                return if self.claiming.is_some() || !self.walk.is_at_end() {
                    Next::Wait
                } else {
                    Next::End
                };
            };
            let until = self.held.get(&id).map(|held| held.until);
            if until.is_some_and(|until| until <= Instant::now()) {
                // The lease ended before it could be renewed. Another run may have claimed the letter.
                self.renew();
                return Next::Wait;
            }
            let (again, entry) = match self.put_back.pop_front() {
                Some(letter) => (Some(letter), None),
                None => (None, self.waiting.pop_front()),
            };
            // Another run has claimed the letter.
            if until.is_none() {
                continue;
            }
            self.handed_out += u64::from(entry.is_some());
            if let Some(letter) = again.or_else(|| entry.map(|entry| Box::new(Letter::from_entry(entry)))) {
                return Next::Letter(letter);
            }
        }
    }

    fn claim_page(&mut self) {
        if self.claiming.is_some() || self.waiting.len() > self.size / 2 {
            return;
        }
        if self.walk.is_at_end() {
            return;
        }
        let room = self.max_bytes.saturating_sub(self.bytes);
        if room == 0 {
            return;
        }
        self.claimed_bytes = room.min(PAGE_BYTES);
        let now = Instant::now();
        let lasted = now.saturating_duration_since(std::mem::replace(&mut self.claimed_at, now));
        if !self.held.is_empty() {
            if lasted < SHORT {
                self.size = (self.size * 2).min(MAX_PAGE);
            } else if lasted > LONG {
                self.size = (self.size / 2).max(MIN_PAGE.min(self.size));
            }
        }
        let Some((filter, _)) = self.walk.page(self.size) else {
            return;
        };
        let claim = self.claim();
        let store = Arc::clone(&self.store);
        self.claiming = Some(Box::pin(async move { store.claim(&filter, claim).await }));
    }

    fn claim(&self) -> Claim {
        let now = moment::now();
        Claim {
            owner: self.owner,
            now,
            lease: self.lease,
            due_by: self.due_only.then_some(now),
            bytes: self.claimed_bytes,
        }
    }

    fn renew(&mut self) {
        if self.renewing.is_some() || self.held.is_empty() {
            return;
        }
        let ids: Arc<[LetterId]> = self.held.keys().copied().collect();
        let (store, claim, all) = (Arc::clone(&self.store), self.claim(), Arc::clone(&ids));
        let answer = Box::pin(async move { store.renew(&all, claim).await });
        self.renewing = Some(Renewing { started: Instant::now(), ids, answer });
    }

    /// Processes answers of the store, and renews claims. Returns whether there was an answer.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool, StoreError> {
        let mut answered = false;
        if let Some(claiming) = &mut self.claiming
            && let Poll::Ready(answer) = claiming.as_mut().poll(cx)
        {
            self.claiming = None;
            self.take_page(answer?);
            answered = true;
        }
        if self.renewing.is_none() && !self.held.is_empty() && self.renew_at.as_mut().poll(cx).is_ready() {
            self.renew();
        }
        if let Some(renewing) = &mut self.renewing
            && let Poll::Ready(answer) = renewing.answer.as_mut().poll(cx)
        {
            let Some(Renewing { started, ids, .. }) = self.renewing.take() else {
                return Ok(answered);
            };
            self.renew_after(started);
            self.take_renewed(started, &ids, &answer?);
            answered = true;
        }
        Ok(answered)
    }

    fn take_page(&mut self, entries: Vec<Entry>) {
        let bytes: u64 = entries.iter().map(Entry::size).sum();
        let (found, last) = (entries.len(), entries.last().map(|entry| entry.id));
        let size = self.walk.page(self.size).map_or(0, |(_, size)| size);
        self.walk.advance(found, last, found >= size || bytes >= self.claimed_bytes);
        if self.held.is_empty() {
            self.renew_after(self.claimed_at);
        }
        let until = self.claimed_at + self.lease;
        self.held.extend(entries.iter().map(|entry| (entry.id, Held { until, bytes: entry.size() })));
        self.bytes += bytes;
        let each = (bytes / entries.len().max(1) as u64).max(1);
        let most = usize::try_from(PAGE_BYTES / each).unwrap_or(usize::MAX);
        self.size = self.size.min(most).max(1);
        self.waiting.extend(entries);
    }

    fn renew_after(&mut self, started: Instant) {
        self.renew_at.as_mut().reset(started + self.lease / 3);
    }

    fn take_renewed(&mut self, started: Instant, ids: &[LetterId], renewed: &[LetterId]) {
        let until = started + self.lease;
        let mut lost: HashSet<LetterId> = ids.iter().copied().collect();
        for id in renewed {
            lost.remove(id);
            if let Some(held) = self.held.get_mut(id) {
                held.until = until;
            }
        }
        lost.into_iter().for_each(|id| self.remove(id));
    }

    /// Claims no more, and adds the held letters that were not sent to `unsent`. Returns `false` while the store has to
    /// answer first.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>, unsent: &mut Vec<LetterId>) -> bool {
        if let Some(claiming) = &mut self.claiming {
            match claiming.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(answer) => {
                    self.claiming = None;
                    // If the claim failed, there is nothing to release.
                    self.take_page(answer.unwrap_or_default());
                }
            }
        }
        self.walk.end();
        let ids = self.waiting.drain(..).map(|entry| entry.id);
        unsent.extend(ids.chain(self.put_back.drain(..).map(|letter| letter.id)));
        unsent.retain(|id| self.held.contains_key(id));
        true
    }

    /// Takes out the current claim and all held letters.
    pub(super) fn take(&mut self) -> (Option<Answer<Vec<Entry>>>, Vec<LetterId>) {
        (self.claiming.take(), self.held.drain().map(|(id, _)| id).collect())
    }
}
