//! Repairs a queue after Redis lost a part of it: a key was deleted, evicted, or overwritten by another program.
//!
//! Every script compares the sizes of all keys of its queue and reports an inconsistency. A task then goes through the
//! queue, a few letters per script, while other calls continue. It keeps what is left of the letters and rebuilds all
//! other keys from it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::runtime::Handle;

use super::client::Client;
use super::rows;
use super::scripts::{self, texts};
use crate::base::outcome::FailureKind;
use crate::store::{Entry, Fingerprint, LetterId, StoreError};

/// The parts of a repair, in this order: first the letters, then their indexes.
const PARTS: [&str; 13] = [
    "stream", "metas", "heads", "bodies", "ids", "index", "due", "expiry", "causes", "groups", "sizes",
    "bytes", "format",
];

/// The maximum number of passes of one repair. Other calls write meanwhile, so one pass may not be enough.
const PASSES: usize = 3;

/// The maximum number of lost letters whose ids a repair remembers. Further ones may be counted twice.
const REMEMBERED: usize = 100_000;

/// The beginning of the head of a damaged letter. The scripts write it.
const LOST: &[u8] = b"lost: ";

/// The maximum number of letters that one script restores from their heads.
const ADOPTED: usize = 50;

/// The outcome of a repair.
#[derive(Debug, Default)]
struct Report {
    /// Letters that are complete again.
    restored: u64,
    /// Letters that lost a part.
    damaged: u64,
    /// The ids of letters that are lost.
    lost: HashSet<String>,
    /// Lost letters beyond [`REMEMBERED`].
    more_lost: u64,
}

impl Report {
    fn lost(&self) -> u64 {
        self.lost.len() as u64 + self.more_lost
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} letters restored, {} damaged (set aside), {} lost",
            self.restored,
            self.damaged,
            self.lost()
        )
    }
}

/// One answer of the script: the next cursor, the ids of lost letters, the numbers of restored and of damaged letters, and
/// the parts of orphaned letters, four for each.
type Answer = (String, Vec<String>, u64, u64, Vec<Vec<u8>>);

impl Client {
    /// Starts a task that repairs a queue, unless one is running.
    pub(super) fn start_repair(&self, queue: &str, inconsistency: String) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(running) = self.repairs().begin(queue) else {
            return;
        };
        let (client, queue): (_, Arc<str>) = (self.clone(), queue.into());
        runtime.spawn(async move {
            client.repair(&queue, &inconsistency).await;
            drop(running);
        });
    }

    async fn repair(&self, queue: &Arc<str>, inconsistency: &str) {
        let mut report = Report::default();
        let mut remaining = String::new();
        let mut error = None;
        for pass in 0..PASSES {
            match self.repair_pass(queue, pass, &mut report).await {
                Ok(inconsistency) => remaining = inconsistency,
                Err(failed) => error = Some(failed),
            }
            if remaining.is_empty() || error.is_some() {
                break;
            }
        }
        let (redis, queue) = (self.address(), &**queue);
        let is_completed = error.is_none() && remaining.is_empty();
        let recorded = self.repairs().record(queue, is_completed, report.damaged + report.lost());
        // Logged each time the number doubles: a server that evicts keys must not fill the log.
        if is_completed && recorded.completed.is_power_of_two() {
            tracing::warn!(
                redis,
                queue,
                found = inconsistency,
                repairs = recorded.completed,
                "Redis lost keys of a dead-letter queue, and the queue was repaired: {report}; make sure that no program \
                 deletes keys that begin with `{{campanile:` and that `maxmemory-policy` is `noeviction`"
            );
        } else if !is_completed && !recorded.failed_before {
            let why = error.map_or(remaining, |error| error.to_string());
            tracing::warn!(
                redis,
                queue,
                found = inconsistency,
                "Redis lost keys of a dead-letter queue, and the repair failed; it is tried again after the next call: \
                 {why}"
            );
        }
    }

    /// Goes through all parts once. Returns the inconsistency that is left, or an empty string.
    async fn repair_pass(
        &self,
        queue: &Arc<str>,
        pass: usize,
        report: &mut Report,
    ) -> Result<String, StoreError> {
        for part in PARTS {
            // Bodies are large. The first pass visits them only if letters were lost, because their bodies may be left.
            if part == "bodies" && pass == 0 && report.lost() == 0 {
                continue;
            }
            let mut cursor = String::new();
            loop {
                let (next, orphans) = self.repair_part(queue, texts([part, &cursor]), report).await?;
                self.adopt(queue, orphans, report).await?;
                if next.is_empty() {
                    break;
                }
                cursor = next;
            }
        }
        let (inconsistency, _) = self.run_unrepaired(&scripts::DEPTH, queue, Vec::new(), Vec::new()).await?;
        Ok(inconsistency)
    }

    async fn repair_part(
        &self,
        queue: &str,
        args: Vec<Vec<u8>>,
        report: &mut Report,
    ) -> Result<(String, Vec<Vec<u8>>), StoreError> {
        let (_, answer) = self.run_unrepaired(&scripts::REPAIR, queue, Vec::new(), args).await?;
        let (next, lost, restored, damaged, orphans): Answer = rows::read(answer)?;
        report.restored += restored;
        report.damaged += damaged;
        for id in lost {
            if report.lost.len() < REMEMBERED {
                report.lost.insert(id);
            } else if !report.lost.contains(&id) {
                report.more_lost += 1;
            }
        }
        Ok((next, orphans))
    }

    /// Restores orphaned letters: those with only a head, or a head and a body.
    async fn adopt(
        &self,
        queue: &Arc<str>,
        orphans: Vec<Vec<u8>>,
        report: &mut Report,
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
                reading.entry_to_store(&mut entry);
                let (before, component) = rows::around_size(&entry);
                let body = match body {
                    known if !known.is_empty() => known,
                    _ if needs_no_body => b"0".to_vec(),
                    _ => b"unknown".to_vec(),
                };
                args.extend([id, sid, body, before.into_bytes(), component.into_bytes()]);
            }
            self.repair_part(queue, args, report).await?;
        }
        Ok(())
    }
}

/// The fields of an entry that its head repeats.
#[derive(Deserialize)]
struct Head {
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
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Payload {
    /// The whole request is in the head.
    Value(IgnoredAny),
    Http(IgnoredAny),
}

/// The entry of a letter, made from its head alone, and whether it is complete without a body. If the head cannot be read,
/// the time in the id replaces the times of failure.
fn entry(queue: &Arc<str>, id: LetterId, head: &[u8]) -> (Entry, bool) {
    let made_at = id.made_at();
    let unknown = Entry {
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
    let Ok(known) = serde_json::from_slice::<Head>(head) else {
        return (unknown, false);
    };
    let needs_no_body = matches!(known.payload, Payload::Value(IgnoredAny));
    let entry = Entry {
        component: known.component.into(),
        kind: known.kind,
        fingerprint: known.fingerprint,
        first_failed: known.first_failed,
        last_failed: known.last_failed,
        due: known.due,
        expires: known.expires,
        set_aside: known.set_aside,
        ..unknown
    };
    (entry, needs_no_body)
}
