//! The state of one run.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::claims::Claims;
use super::pace::{CircuitPause, FailureLimit, Rate};
use super::request::Verdict;
use super::settings::Redrive;
use super::settler::{self, Settler};
use super::walk::Walk;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::running::{ListGuard, PassSkips, Progress, StopReason};
use crate::layers::attempts::Record;
use crate::store::{LetterId, Owner, Settled, StoreError};

/// The parameters of a run, and the state that outlasts one pass in the background.
pub(super) struct Job {
    pub(super) redrive: Redrive,
    /// Whether it is a pass in the background, which sends only letters that are due.
    pub(super) automatic: bool,
    /// Whether a circuit breaker rejected a letter in the last pass, so that this one starts with a probe.
    pub(super) probe: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) rate: Rate,
}

impl Job {
    pub(super) fn new(redrive: Redrive, automatic: bool) -> Self {
        let rate = Rate::new(redrive.rate);
        Self { redrive, automatic, probe: false, progress: Arc::new(Progress::new(automatic)), rate }
    }
}

/// A letter whose call has ended.
pub(super) struct EndedCall {
    pub(super) letter: Box<Letter>,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
    pub(super) record: Record,
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) core: Arc<Core>,
    pub(super) job: &'a mut Job,
    owner: Owner,
    _listed: Option<ListGuard>,
    pub(super) claims: Claims,
    pub(super) settler: Settler,
    pub(super) failures: FailureLimit,
    pub(super) pause: CircuitPause,
    pub(super) timer: Pin<Box<Sleep>>,
    /// Why the run ends early.
    pub(super) stopped: Option<StopReason>,
    /// The error of the store that ends the run.
    pub(super) error: Option<StoreError>,
    pub(super) skips: PassSkips,
    /// How many letters the report includes.
    reported: u64,
    /// The runtime on which letters are released if the run is dropped before it ends.
    runtime: Option<Handle>,
}

impl<'a> Run<'a> {
    pub(super) fn new(core: &Arc<Core>, job: &'a mut Job, walk: Walk) -> Self {
        let owner = Owner::new();
        Self {
            owner,
            // The handle of a redrive in the background lists it for longer than a pass.
            _listed: (!job.automatic).then(|| ListGuard::new(&core.redrives, &job.progress)),
            claims: Claims::new(&core.store, owner, &job.redrive, walk, job.automatic),
            settler: Settler::new(&core.store, owner),
            failures: FailureLimit::new(&job.redrive),
            pause: CircuitPause::new(job.redrive.max_pause, job.probe),
            timer: Box::pin(sleep_until(Instant::now())),
            stopped: None,
            error: None,
            skips: PassSkips::default(),
            reported: 0,
            runtime: Handle::try_current().ok(),
            core: Arc::clone(core),
            job,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stopped.is_some() || self.error.is_some()
    }

    /// How many letters were handed out since the last call.
    pub(super) fn newly_matched(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.reported, self.claims.handed_out);
        self.claims.handed_out - before
    }

    /// All results are recorded, as far as the store records them. The claims of the others end with their leases.
    pub(super) fn close(&mut self) {
        self.runtime = None;
    }
}

impl Drop for Run<'_> {
    /// A run that is dropped before it ends records its results and releases its letters in a task.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let (writing, mut settled) = self.settler.take();
        let (claiming, mut held) = self.claims.take();
        let with_result: HashSet<LetterId> = settled.iter().map(Settled::id).collect();
        held.retain(|id| !with_result.contains(id));
        if writing.is_none() && claiming.is_none() && settled.is_empty() && held.is_empty() {
            return;
        }
        let (store, owner) = (Arc::clone(&self.core.store), self.owner);
        let cleanup = runtime.spawn(async move {
            if let Some(writing) = writing {
                let _ = writing.await;
            }
            if let Some(claiming) = claiming {
                held.extend(claiming.await.unwrap_or_default().iter().map(|entry| entry.id));
            }
            settled.extend(held.into_iter().map(Settled::Released));
            let _ = settler::write(&store, owner, settled, &Arc::default()).await;
        });
        self.core.redrives.add_cleanup(cleanup);
    }
}
