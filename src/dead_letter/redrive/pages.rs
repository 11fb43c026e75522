//! The letters of a run: claimed page by page, and held until they are dealt with.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::meant::Meant;
use super::settings::Redrive;
use crate::base::moment;
use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::store::{Claim, Entry, LetterId, Owner, StoreError};

/// The letters of the first page, of which nothing is known yet.
const FIRST: usize = 32;

/// A page has no fewer letters, unless they are large, and no more: what is claimed is kept from all others.
const PAGE: (usize, usize) = (16, 512);

/// The bytes of a page, to which the last letter may add.
const BYTES: u64 = 4 * 1024 * 1024;

/// A page lasts for about so long.
const LASTS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Claims, renews and hands out letters.
pub(super) struct Pages {
    core: Arc<Core>,
    owner: Owner,
    lease: Duration,
    /// Takes only those that are due.
    due: bool,
    /// What comes after the page.
    meant: Meant,
    size: usize,
    asked: Instant,
    /// The bytes that were asked for.
    asked_bytes: u64,
    claiming: Option<Answer<Vec<Entry>>>,
    waiting: VecDeque<Entry>,
    /// Letters that were handed out and came back unsent.
    again: VecDeque<Box<Letter>>,
    /// All that is held, and until when at least.
    held: HashMap<LetterId, Held>,
    /// The bytes of all that is held.
    bytes: u64,
    /// The most of them before more is asked for.
    most: u64,
    renewing: Option<Renewing>,
    heartbeat: Pin<Box<Sleep>>,
    /// Letters that were handed out, each counted once.
    pub(super) looked_at: u64,
}

struct Held {
    until: Instant,
    bytes: u64,
}

struct Renewing {
    asked: Instant,
    ids: Arc<[LetterId]>,
    answer: Answer<Vec<LetterId>>,
}

/// What there is to send.
pub(super) enum Next {
    Letter(Box<Letter>),
    /// The store is to answer first.
    Wait,
    /// Nothing more.
    End,
}

impl Pages {
    pub(super) fn new(core: &Arc<Core>, owner: Owner, redrive: &Redrive, meant: Meant, due: bool) -> Self {
        let now = Instant::now();
        Self {
            core: Arc::clone(core),
            owner,
            lease: redrive.lease,
            due,
            meant,
            size: FIRST,
            asked: now,
            asked_bytes: 0,
            claiming: None,
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            held: HashMap::new(),
            bytes: 0,
            most: redrive.max_bytes,
            renewing: None,
            heartbeat: Box::pin(sleep_until(now)),
            looked_at: 0,
        }
    }

    /// Whether `letter` is still this run's to send.
    pub(super) fn holds(&self, letter: &Letter) -> bool {
        self.held.get(&letter.id).is_some_and(|held| held.until > Instant::now())
    }

    /// It is dealt with, or another's.
    pub(super) fn let_go(&mut self, id: LetterId) {
        if let Some(held) = self.held.remove(&id) {
            self.bytes -= held.bytes;
        }
    }

    /// It was not sent: it is the next one, unless those before it came back as well.
    pub(super) fn put_back(&mut self, letter: Box<Letter>) {
        let place = self.again.partition_point(|other| other.id < letter.id);
        self.again.insert(place, letter);
    }

    /// The next letter. Another page is asked for while there are still some of this one.
    pub(super) fn next(&mut self) -> Next {
        loop {
            self.ask();
            let again = self.again.front().map(|letter| letter.id);
            let Some(id) = again.or_else(|| self.waiting.front().map(|entry| entry.id)) else {
                // More is asked for when what is under way leaves room for it.
                return if self.claiming.is_some() || !self.meant.is_at_end() {
                    Next::Wait
                } else {
                    Next::End
                };
            };
            let until = self.held.get(&id).map(|held| held.until);
            if until.is_some_and(|until| until <= Instant::now()) {
                // This run was kept from renewing it; somebody else may have it by now.
                self.renew();
                return Next::Wait;
            }
            let (again, entry) = match self.again.pop_front() {
                Some(letter) => (Some(letter), None),
                None => (None, self.waiting.pop_front()),
            };
            // Somebody else took it over.
            if until.is_none() {
                continue;
            }
            self.looked_at += u64::from(entry.is_some());
            if let Some(letter) = again.or_else(|| entry.map(|entry| Box::new(Letter::from_entry(entry)))) {
                return Next::Letter(letter);
            }
        }
    }

    fn ask(&mut self) {
        if self.claiming.is_some() || self.waiting.len() > self.size / 2 {
            return;
        }
        if self.meant.is_at_end() {
            return;
        }
        let room = self.most.saturating_sub(self.bytes);
        if room == 0 {
            return;
        }
        self.asked_bytes = room.min(BYTES);
        let now = Instant::now();
        let lasted = now.saturating_duration_since(std::mem::replace(&mut self.asked, now));
        if !self.held.is_empty() {
            if lasted < LASTS.0 {
                self.size = (self.size * 2).min(PAGE.1);
            } else if lasted > LASTS.1 {
                self.size = (self.size / 2).max(PAGE.0.min(self.size));
            }
        }
        let Some((filter, _)) = self.meant.page(self.size) else {
            return;
        };
        let claim = self.claim();
        let core = Arc::clone(&self.core);
        self.claiming = Some(Box::pin(async move {
            core.ask(Operation::Claim, |store| store.claim(&core.name, &filter, claim)).await
        }));
    }

    fn claim(&self) -> Claim {
        let now = moment::now();
        Claim {
            owner: self.owner,
            now,
            lease: self.lease,
            due_by: self.due.then_some(now),
            bytes: self.asked_bytes,
        }
    }

    fn renew(&mut self) {
        if self.renewing.is_some() || self.held.is_empty() {
            return;
        }
        let ids: Arc<[LetterId]> = self.held.keys().copied().collect();
        let (core, claim, all) = (Arc::clone(&self.core), self.claim(), Arc::clone(&ids));
        let answer = Box::pin(async move {
            core.ask(Operation::Renew, |store| store.renew(&core.name, &all, claim)).await
        });
        self.renewing = Some(Renewing { asked: Instant::now(), ids, answer });
    }

    /// Takes in what the store says and keeps what is held; `true` when there is something new.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool, StoreError> {
        let mut news = false;
        if let Some(claiming) = &mut self.claiming
            && let Poll::Ready(answer) = claiming.as_mut().poll(cx)
        {
            self.claiming = None;
            self.take_in(answer?);
            news = true;
        }
        if self.renewing.is_none() && !self.held.is_empty() && self.heartbeat.as_mut().poll(cx).is_ready() {
            self.renew();
        }
        if let Some(renewing) = &mut self.renewing
            && let Poll::Ready(answer) = renewing.answer.as_mut().poll(cx)
        {
            let Some(Renewing { asked, ids, .. }) = self.renewing.take() else {
                return Ok(news);
            };
            self.beat_after(asked);
            self.renewed(asked, &ids, &answer?);
            news = true;
        }
        Ok(news)
    }

    fn take_in(&mut self, entries: Vec<Entry>) {
        let bytes: u64 = entries.iter().map(Entry::size).sum();
        let (found, last) = (entries.len(), entries.last().map(|entry| entry.id));
        let asked_for = self.meant.page(self.size).map_or(0, |(_, size)| size);
        self.meant.go_on(found, last, found >= asked_for || bytes >= self.asked_bytes);
        if self.held.is_empty() {
            self.beat_after(self.asked);
        }
        let until = self.asked + self.lease;
        self.held.extend(entries.iter().map(|entry| (entry.id, Held { until, bytes: entry.size() })));
        self.bytes += bytes;
        let each = (bytes / entries.len().max(1) as u64).max(1);
        let most = usize::try_from(BYTES / each).unwrap_or(usize::MAX);
        self.size = self.size.min(most).max(1);
        self.waiting.extend(entries);
    }

    fn beat_after(&mut self, asked: Instant) {
        self.heartbeat.as_mut().reset(asked + self.lease / 3);
    }

    fn renewed(&mut self, asked: Instant, ids: &[LetterId], renewed: &[LetterId]) {
        let until = asked + self.lease;
        let mut lost: HashSet<LetterId> = ids.iter().copied().collect();
        for id in renewed {
            lost.remove(id);
            if let Some(held) = self.held.get_mut(id) {
                held.until = until;
            }
        }
        lost.into_iter().for_each(|id| self.let_go(id));
    }

    /// Claims no more, and gives what was not sent and is held; `false` while the store has to answer first.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>, unsent: &mut Vec<LetterId>) -> bool {
        if let Some(claiming) = &mut self.claiming {
            match claiming.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(answer) => {
                    self.claiming = None;
                    // What could not be claimed needs no release.
                    self.take_in(answer.unwrap_or_default());
                }
            }
        }
        self.meant.end();
        let ids = self.waiting.drain(..).map(|entry| entry.id);
        unsent.extend(ids.chain(self.again.drain(..).map(|letter| letter.id)));
        unsent.retain(|id| self.held.contains_key(id));
        true
    }

    /// The claim that is under way, and all that is held; none of it is here any more.
    pub(super) fn take(&mut self) -> (Option<Answer<Vec<Entry>>>, Vec<LetterId>) {
        (self.claiming.take(), self.held.drain().map(|(id, _)| id).collect())
    }
}
