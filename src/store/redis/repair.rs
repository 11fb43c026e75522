//! Mending a queue of which Redis lost a part: a key was deleted, evicted, or written by another program.
//!
//! Every script compares the sizes of all keys and tells what contradicts something else. A task then goes through the
//! queue, some letters in each script, while all others go on. What is left of letters is the truth: the rest is made
//! anew from it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::pages::texts;
use super::{RedisStore, rows, scripts};
use crate::base::outcome::FailureKind;
use crate::base::sync::Mutex;
use crate::store::{Depth, Entry, Fingerprint, LetterId, StoreError};

/// What is mended, in this order: letters first, then what is found by them.
const PARTS: [&str; 13] = [
    "stream", "metas", "heads", "bodies", "ids", "index", "due", "expiry", "causes", "groups", "sizes",
    "bytes", "format",
];

/// Goes through a queue that are made in a row: others write to it meanwhile.
const ROUNDS: usize = 3;

/// How long to wait after a repair that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Lost letters that are told apart in one repair; those beyond may count twice.
const TOLD_APART: usize = 100_000;

/// What the head of a letter begins with of which a part is lost; the scripts write it.
const LOST: &[u8] = b"lost: ";

/// Letters that are taken up in one script.
const ADOPTED: usize = 50;

/// The repairs of all queues.
#[derive(Debug)]
pub(super) struct Repairs {
    /// How long a call waits for the repair that it needs.
    patience: Duration,
    queues: Mutex<BTreeMap<Arc<str>, Repair>>,
}

#[derive(Debug, Default)]
struct Repair {
    /// Open while a task is at it.
    running: Option<watch::Receiver<()>>,
    failed: Option<Instant>,
    /// Repairs that came to their end.
    done: u64,
    /// Letters that were lost, in whole or in part.
    lost: u64,
    /// The last letter whose expiry was looked at.
    looked_at: String,
}

impl Repair {
    fn is_running(&self) -> bool {
        // A task that was dropped with its runtime has closed it.
        self.running.as_ref().is_some_and(|running| running.has_changed().is_ok())
    }
}

impl Repairs {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, queues: Mutex::default() }
    }

    fn with<T>(&self, queue: &str, change: impl FnOnce(&mut Repair) -> T) -> T {
        let mut queues = self.queues.lock();
        match queues.get_mut(queue) {
            Some(repair) => change(repair),
            None => change(queues.entry(queue.into()).or_default()),
        }
    }

    /// Begins one, unless one is under way or has just failed.
    fn begin(&self, queue: &str) -> Option<watch::Sender<()>> {
        self.with(queue, |repair| {
            let rests = repair.failed.is_some_and(|at| at.elapsed() < PAUSE);
            if repair.is_running() || rests {
                return None;
            }
            let (sender, receiver) = watch::channel(());
            repair.running = Some(receiver);
            Some(sender)
        })
    }

    /// How many repairs of a queue came to their end.
    pub(super) fn done(&self, queue: &str) -> u64 {
        self.queues.lock().get(queue).map_or(0, |repair| repair.done)
    }

    /// Waits for the repair that is under way, if one is; whether there was one since `before` were done.
    pub(super) async fn mended(&self, queue: &str, before: u64) -> bool {
        let running = self.queues.lock().get(queue).and_then(|repair| repair.running.clone());
        if let Some(mut running) = running {
            // It ends with its sender.
            let _ = timeout(self.patience, async { while running.changed().await.is_ok() {} }).await;
        }
        self.done(queue) > before
    }

    /// Whether a repair is under way.
    pub(super) fn is_running(&self, queue: &str) -> bool {
        self.queues.lock().get(queue).is_some_and(Repair::is_running)
    }

    pub(super) fn count_in(&self, queue: &str, depth: Depth) -> Depth {
        let (repairs, lost) =
            self.queues.lock().get(queue).map_or((0, 0), |repair| (repair.done, repair.lost));
        Depth { repairs, lost, ..depth }
    }

    pub(super) fn looked_at(&self, queue: &str) -> String {
        self.queues.lock().get(queue).map(|repair| repair.looked_at.clone()).unwrap_or_default()
    }

    pub(super) fn look_on(&self, queue: &str, looked_at: String) {
        if !looked_at.is_empty() || !self.looked_at(queue).is_empty() {
            self.with(queue, |repair| repair.looked_at = looked_at);
        }
    }
}

/// What a repair did.
#[derive(Debug, Default)]
struct Mended {
    found: u64,
    /// Letters of which a part is lost.
    damaged: u64,
    lost: HashSet<String>,
    lost_beyond: u64,
}

impl Mended {
    fn lost(&self) -> u64 {
        self.lost.len() as u64 + self.lost_beyond
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} letters were put in order, a part of {} is lost, and {} are lost",
            self.found,
            self.damaged,
            self.lost()
        )
    }
}

/// One answer of the script.
type Answer = (String, Vec<String>, u64, u64, Vec<Vec<u8>>);

impl RedisStore {
    /// Has a task mend a queue, unless one is at it.
    pub(super) fn mend(&self, queue: &str, torn: String) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(ends) = self.shared.repairs.begin(queue) else {
            return;
        };
        let (store, queue): (_, Arc<str>) = (self.clone(), queue.into());
        runtime.spawn(async move {
            store.mend_all(&queue, &torn).await;
            drop(ends);
        });
    }

    async fn mend_all(&self, queue: &Arc<str>, torn: &str) {
        let mut mended = Mended::default();
        let mut left = String::new();
        let mut error = None;
        for round in 0..ROUNDS {
            match self.mend_once(queue, round, &mut mended).await {
                Ok(torn) => left = torn,
                Err(failed) => error = Some(failed),
            }
            if left.is_empty() || error.is_some() {
                break;
            }
        }
        let (redis, queue) = (self.shared.link.address(), &**queue);
        let whole = error.is_none() && left.is_empty();
        let (done, failed_before) = self.shared.repairs.with(queue, |repair| {
            let failed_before = repair.failed.is_some();
            repair.failed = (!whole).then(Instant::now);
            repair.done += u64::from(whole);
            repair.lost += mended.damaged + mended.lost();
            (repair.done, failed_before)
        });
        // Each time the number doubles: a server that evicts must not fill the log as well.
        if whole && done.is_power_of_two() {
            tracing::warn!(
                redis,
                queue,
                found = torn,
                repairs = done,
                "Redis had lost a part of what it keeps of dead letters: {mended}; see that no program deletes keys \
                 that begin with `{{campanile:`, and that `maxmemory-policy` is `noeviction`"
            );
        } else if !whole && !failed_before {
            let why = error.map_or(left, |error| error.to_string());
            tracing::warn!(
                redis,
                queue,
                found = torn,
                "Redis lost a part of what it keeps of dead letters, which cannot be mended for now: {why}"
            );
        }
    }

    /// Goes through all parts once; gives what contradicts something else after that.
    async fn mend_once(
        &self,
        queue: &Arc<str>,
        round: usize,
        mended: &mut Mended,
    ) -> Result<String, StoreError> {
        for part in PARTS {
            // Bodies are large to look at: only where some may belong to no letter.
            if part == "bodies" && round == 0 && mended.lost() == 0 {
                continue;
            }
            let mut cursor = String::new();
            loop {
                let (on, orphans) = self.mend_part(queue, texts([part, &cursor]), mended).await?;
                self.adopt(queue, orphans, mended).await?;
                if on.is_empty() {
                    break;
                }
                cursor = on;
            }
        }
        let (torn, _) = self.ask(&scripts::DEPTH, queue, Vec::new(), Vec::new()).await?;
        Ok(torn)
    }

    async fn mend_part(
        &self,
        queue: &str,
        args: Vec<Vec<u8>>,
        mended: &mut Mended,
    ) -> Result<(String, Vec<Vec<u8>>), StoreError> {
        let (_, answer) = self.ask(&scripts::REPAIR, queue, Vec::new(), args).await?;
        let (on, lost, found, damaged, orphans): Answer = rows::read(answer)?;
        mended.found += found;
        mended.damaged += damaged;
        for id in lost {
            if mended.lost.len() < TOLD_APART {
                mended.lost.insert(id);
            } else if !mended.lost.contains(&id) {
                mended.lost_beyond += 1;
            }
        }
        Ok((on, orphans))
    }

    /// Takes up letters of which only the head and perhaps the body are left.
    async fn adopt(
        &self,
        queue: &Arc<str>,
        orphans: Vec<Vec<u8>>,
        mended: &mut Mended,
    ) -> Result<(), StoreError> {
        let (reading, mut orphans) = (self.reading().await?, orphans.into_iter().peekable());
        while orphans.peek().is_some() {
            let mut args = texts(["adopt", ""]);
            for _ in 0..ADOPTED {
                let (Some(id), Some(sid), Some(body), Some(head)) =
                    (orphans.next(), orphans.next(), orphans.next(), orphans.next())
                else {
                    break;
                };
                let Some(letter) = std::str::from_utf8(&id).ok().and_then(|id| id.parse().ok()) else {
                    continue;
                };
                let (mut entry, needs_no_body) = entry(queue, letter, &head);
                reading.arrive(&mut entry);
                let (before, component) = rows::around_size(&entry);
                let body = match body {
                    known if !known.is_empty() => known,
                    _ if needs_no_body => b"0".to_vec(),
                    _ => b"unknown".to_vec(),
                };
                args.extend([id, sid, body, before.into_bytes(), component.into_bytes()]);
            }
            self.mend_part(queue, args, mended).await?;
        }
        Ok(())
    }
}

/// What the head of a letter says about it.
#[derive(Deserialize)]
struct Known {
    component: String,
    kind: FailureKind,
    fingerprint: Fingerprint,
    #[serde(with = "crate::base::moment::as_micros")]
    first_failed: SystemTime,
    #[serde(with = "crate::base::moment::as_micros")]
    last_failed: SystemTime,
    #[serde(with = "crate::base::moment::as_micros::option", default)]
    due: Option<SystemTime>,
    #[serde(with = "crate::base::moment::as_micros::option", default)]
    expires: Option<SystemTime>,
    #[serde(default)]
    set_aside: bool,
    payload: Sort,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// It has no body beside its head.
    Value(IgnoredAny),
    Http(IgnoredAny),
}

/// The fields of a letter by its head alone, and whether it is whole without a body. Of a head that says nothing, the id
/// tells when it failed.
fn entry(queue: &Arc<str>, id: LetterId, head: &[u8]) -> (Entry, bool) {
    let made_at = id.made_at();
    let nothing = Entry {
        id,
        queue: Arc::clone(queue),
        component: "unknown".into(),
        kind: FailureKind::Error,
        fingerprint: Fingerprint::from_bits(0),
        first_failed: made_at,
        last_failed: made_at,
        due: None,
        expires: None,
        set_aside: head.starts_with(LOST),
        head: Vec::new(),
        body: Vec::new(),
    };
    let Ok(known) = serde_json::from_slice::<Known>(head) else {
        return (nothing, false);
    };
    let needs_no_body = matches!(known.payload, Sort::Value(IgnoredAny));
    let entry = Entry {
        component: known.component.into(),
        kind: known.kind,
        fingerprint: known.fingerprint,
        first_failed: known.first_failed,
        last_failed: known.last_failed,
        due: known.due,
        expires: known.expires,
        set_aside: known.set_aside,
        ..nothing
    };
    (entry, needs_no_body)
}
