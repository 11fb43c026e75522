//! The state of one healing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::action::Action;
use super::context::HealContext;
use super::counters::Counters;
use super::done::{MAX_TEXT, panic_message};
use super::healing::Healing;
use super::pacing::Pacing;
use super::record::{HealingOutcome, HealingRecord};
use super::shared::Shared;
use super::starts_file::StartsFile;
use super::status::HealingStatus;
use crate::base::clock;
use crate::base::cut::boundary_from;
use crate::base::moment;
use crate::base::outcome::Timed;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::health::awake::within;
use crate::health::status::Status;
use crate::health::texts::Texts;

/// Number of records that are kept of each healing.
const MAX_RECORDS: usize = 64;

/// A healing that was added to a health.
pub(super) struct Healer {
    pub(super) healing: Healing,
    pub(super) action: Action,
    pub(super) context: Weak<dyn HealContext>,
    pub(super) shared: Arc<Shared>,
    /// The runtime on which the healing was added: a round may come from a thread without one.
    runtime: Option<Handle>,
    texts: Texts,
    pub(super) paused: AtomicBool,
    /// Whether the checks of the component are running again after a standstill of this process.
    pub(super) rechecking: Arc<AtomicBool>,
    pub(super) pacing: Mutex<Pacing>,
    records: Mutex<VecDeque<Arc<HealingRecord>>>,
    pub(super) counters: Counters,
}

impl Healer {
    pub(super) fn new(
        healing: Healing,
        action: Action,
        context: Weak<dyn HealContext>,
        shared: Arc<Shared>,
        texts: Texts,
    ) -> Self {
        Self {
            healing,
            action,
            context,
            shared,
            runtime: Handle::try_current().ok(),
            texts,
            paused: AtomicBool::new(false),
            rechecking: Arc::default(),
            pacing: Mutex::default(),
            records: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Counts the starts of earlier processes.
    pub(super) fn restore(&self, file: &StartsFile) {
        let ages = file.ages(Some((&self.healing.component, &self.healing.name)));
        self.pacing.lock().restore(clock::now(), &ages);
    }

    /// Keeps a record, and drops the oldest of too many.
    pub(super) fn push_record(&self, record: Arc<HealingRecord>) {
        let mut records = self.records.lock();
        if records.len() == MAX_RECORDS {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// The records, the oldest first.
    pub(super) fn records(&self) -> Vec<Arc<HealingRecord>> {
        self.records.lock().iter().cloned().collect()
    }

    pub(super) fn status(&self) -> HealingStatus {
        let paused = self.paused.load(Ordering::Acquire);
        self.pacing.lock().status(paused, clock::now(), &self.healing.settings)
    }

    /// The current runtime, or the one on which the healing was added.
    pub(super) fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }

    /// The end of `text` without its secrets, as records keep it.
    pub(super) fn sanitize(&self, text: &str) -> String {
        sanitize(&self.texts, text)
    }

    /// Escalates because the limit per hour is used up.
    pub(super) fn escalate_limit(&self) {
        let last = self.records.lock().back().cloned();
        self.escalate(last.unwrap_or_else(|| self.record_of_earlier_process()));
    }

    /// Stands for the actions of an earlier process, whose records are gone.
    fn record_of_earlier_process(&self) -> Arc<HealingRecord> {
        let reason = "the limit per hour was used up before this process started";
        Arc::new(HealingRecord {
            number: 0,
            healing: Arc::clone(&self.healing.name),
            component: Arc::clone(&self.healing.component),
            status: Status::Unknown,
            cause: Vec::new(),
            by_hand: false,
            began: moment::now(),
            took: Duration::ZERO,
            took_in_all: Duration::ZERO,
            outcome: HealingOutcome::Failed(reason.to_owned()),
            status_after: None,
            output: None,
            exit_code: None,
        })
    }

    /// Logs that the healing does not help, and calls [`Healing::escalate`] in its own task.
    pub(super) fn escalate(&self, record: Arc<HealingRecord>) {
        let (component, healing) = (&*self.healing.component, &*self.healing.name);
        tracing::warn!(
            target: "campanile::health",
            component,
            healing,
            outcome = record.outcome.as_str(),
            "a healing does not help: manual repair is needed"
        );
        let (Some(escalate), Some(runtime)) = (self.healing.escalate.clone(), self.runtime()) else { return };
        let (component, healing) = (Arc::clone(&record.component), Arc::clone(&record.healing));
        let (limit, texts) = (self.healing.settings.timeout, self.texts.clone());
        runtime.spawn(async move {
            // A second task, so that a panic is logged.
            let mut call = Timed::spawn(async move { escalate(record).await });
            let reason = match within(limit, &mut call.task).await.ended {
                Some(Ok(())) => return,
                Some(Err(error)) => format!("it panicked: {}", sanitize(&texts, &panic_message(error))),
                None => {
                    call.give_up();
                    format!("it timed out after {limit:?}")
                }
            };
            tracing::error!(
                target: "campanile::health",
                component = &*component,
                healing = &*healing,
                "the escalation of a healing failed, so its message may be lost: {reason}"
            );
        });
    }
}

fn sanitize(texts: &Texts, text: &str) -> String {
    let text = texts.clean(text);
    text[boundary_from(&text, text.len().saturating_sub(MAX_TEXT))..].to_owned()
}

impl fmt::Debug for Healer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healer").field("healing", &self.healing).finish_non_exhaustive()
    }
}
