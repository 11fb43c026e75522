//! The healings of one health, and what holds for all of them.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::action::Action;
use super::context::HealContext;
use super::counts::Counts;
use super::course::{Course, HealingStatus};
use super::floor::Floor;
use super::healing::Healing;
use super::memory::Memory;
use super::record::{HealingOutcome, HealingRecord, Withheld};
use super::run::Turn;
use super::settings::HealingLimits;
use crate::base::clock::{self, Tick};
use crate::base::error::ConfigError;
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::health::snapshot::{ComponentHealth, HealthSnapshot};
use crate::health::states::Round;
use crate::health::status::Status;
use crate::health::texts::Texts;
use crate::signal::Emit;

/// Records that are kept of each healing.
const KEPT: usize = 64;

/// The actions of one health.
#[derive(Debug, Default)]
pub(in crate::health) struct Healers {
    all: Mutex<Vec<Arc<Healer>>>,
    floor: Arc<Floor>,
}

impl Healers {
    /// Looks whether a component needs one of them.
    pub(in crate::health) fn after_round(&self, snapshot: &Arc<HealthSnapshot>, round: Round) {
        // Outside the lock: conditions are code of others.
        for healer in self.all() {
            healer.look(snapshot, round);
        }
    }

    /// Tells what is counted.
    pub(in crate::health) fn observe(&self, emit: &mut Emit<'_>) {
        for healer in self.all() {
            healer.counts.observe(&healer.healing.component, &healer.healing.name, emit);
        }
    }

    pub(super) fn add(
        &self,
        healing: Healing,
        context: Weak<dyn HealContext>,
        texts: Texts,
    ) -> Result<Arc<Healer>, ConfigError> {
        let action = healing.validate()?;
        let mut all = self.all.lock();
        if all.iter().any(|it| it.healing.name == healing.name && it.healing.component == healing.component) {
            let allowed = "another name: the component has a healing called so";
            return Err(ConfigError::new("healing.name", format_args!("{:?}", healing.name), allowed));
        }
        let healer = Arc::new(Healer {
            healing,
            action,
            context,
            floor: Arc::clone(&self.floor),
            runtime: Handle::try_current().ok(),
            texts,
            paused: AtomicBool::new(false),
            stale: Arc::default(),
            course: Mutex::default(),
            records: Mutex::default(),
            counts: Counts::default(),
        });
        if let Some(memory) = &*self.floor.memory.lock() {
            healer.recall(memory);
        }
        all.push(Arc::clone(&healer));
        Ok(healer)
    }

    pub(in crate::health) fn limit(&self, limits: HealingLimits) -> Result<(), ConfigError> {
        let known =
            |path: &&PathBuf| self.floor.memory.lock().as_ref().is_some_and(|memory| memory.is_at(path));
        // Outside the locks: the file may lie where nothing answers, and rounds must go on.
        let opened = match limits.remember_in.as_ref().filter(|path| !known(path)) {
            Some(path) => Some(Memory::open(path)?),
            None => None,
        };
        let all = self.all.lock();
        let mut memory = self.floor.memory.lock();
        match opened {
            None if limits.remember_in.is_none() => *memory = None,
            None => {}
            Some(opened) => {
                all.iter().for_each(|healer| healer.recall(&opened));
                self.floor.taken.lock().began.recall(clock::now(), &opened.ages(None));
                *memory = Some(opened);
            }
        }
        self.floor.remembers.store(memory.is_some(), Ordering::Release);
        self.floor.taken.lock().limits = limits;
        Ok(())
    }

    /// The records of all, in the order in which they began.
    pub(in crate::health) fn records(&self) -> Vec<Arc<HealingRecord>> {
        let mut records: Vec<_> = self.all().iter().flat_map(|healer| healer.records()).collect();
        records.sort_by_key(|record| record.number);
        records
    }

    fn all(&self) -> Vec<Arc<Healer>> {
        self.all.lock().clone()
    }
}

/// One healing at work.
pub(super) struct Healer {
    pub(super) healing: Healing,
    pub(super) action: Action,
    pub(super) context: Weak<dyn HealContext>,
    pub(super) floor: Arc<Floor>,
    /// That of whoever set it up: a round may come from a thread without one.
    runtime: Option<Handle>,
    pub(super) texts: Texts,
    paused: AtomicBool,
    /// Whether this process stood still and what is known of the component is from before.
    stale: Arc<AtomicBool>,
    pub(super) course: Mutex<Course>,
    records: Mutex<VecDeque<Arc<HealingRecord>>>,
    pub(super) counts: Counts,
}

impl Healer {
    fn look(self: &Arc<Self>, snapshot: &HealthSnapshot, round: Round) {
        let Healing { component, when, settings, .. } = &self.healing;
        let component = snapshot.component(component).filter(|component| when.holds(component));
        let now = clock::now();
        let called_for = self.course.lock().look(component.is_some(), when.for_at_least, round.ran, settings);
        if round.woke && component.is_some() {
            self.look_anew();
        }
        let Some(component) = component.filter(|_| called_for) else { return };
        if self.stale.load(Ordering::Acquire) {
            return;
        }
        match self.begin_by_itself(component, now) {
            // While it runs, what calls for it is still there.
            Ok(_) | Err(Withheld::Running) => {}
            Err(withheld) => self.withhold(withheld),
        }
    }

    /// Runs the checks of the component. Until they have run, the healing does not begin by itself.
    fn look_anew(&self) {
        let (Some(runtime), Some(context)) = (self.runtime(), self.context.upgrade()) else {
            return;
        };
        if self.stale.swap(true, Ordering::AcqRel) {
            return;
        }
        let (checks, component) = (context.checks(), Arc::clone(&self.healing.component));
        let known = Known(Arc::clone(&self.stale));
        runtime.spawn(async move {
            let _known = known;
            checks.run(&component).await;
        });
    }

    fn begin_by_itself(
        self: &Arc<Self>,
        component: &ComponentHealth,
        now: Tick,
    ) -> Result<JoinHandle<Arc<HealingRecord>>, Withheld> {
        if self.paused.load(Ordering::Acquire) {
            return Err(Withheld::Paused);
        }
        if !component.because_of.is_empty() && !self.healing.settings.even_if_caused {
            return Err(Withheld::Caused);
        }
        self.begin(Some(component), false, now)
    }

    /// Begins, if every limit lets it.
    pub(super) fn begin(
        self: &Arc<Self>,
        component: Option<&ComponentHealth>,
        by_hand: bool,
        now: Tick,
    ) -> Result<JoinHandle<Arc<HealingRecord>>, Withheld> {
        if self.context.upgrade().is_some_and(|context| context.is_draining()) {
            return Err(Withheld::Draining);
        }
        let runtime = Handle::try_current().ok().or_else(|| self.runtime.clone());
        let runtime = runtime.ok_or(Withheld::NoRuntime)?;
        let seat = {
            let mut course = self.course.lock();
            course.may_begin(now, &self.healing.settings)?;
            let seat = Floor::take(&self.floor, &self.healing.component, now)?;
            course.begin(now);
            seat
        };
        let turn = Turn::new(Arc::clone(self), seat, component, by_hand, now);
        Ok(runtime.spawn(turn.run()))
    }

    fn withhold(self: &Arc<Self>, withheld: Withheld) {
        let mut course = self.course.lock();
        let is_news = course.withhold(withheld);
        let escalates =
            withheld == Withheld::HourlyLimit && !self.healing.settings.dry_run && course.escalate();
        drop(course);
        if is_news {
            self.counts.withheld(withheld);
            tracing::info!(
                target: "campanile::health",
                component = &*self.healing.component,
                healing = &*self.healing.name,
                reason = withheld.as_str(),
                "a healing is called for and does not begin: {withheld}"
            );
        }
        if escalates {
            self.escalate(self.records().pop().unwrap_or_else(|| self.record_of_before()));
        }
    }

    /// What is told of actions that began before this process did.
    fn record_of_before(&self) -> Arc<HealingRecord> {
        let why = "it began as often as it may within an hour, before this process did";
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
            outcome: HealingOutcome::Failed(why.to_owned()),
            status_after: None,
            output: None,
            exit_code: None,
        })
    }

    pub(super) fn keep(&self, record: Arc<HealingRecord>) {
        let mut records = self.records.lock();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(super) fn records(&self) -> Vec<Arc<HealingRecord>> {
        self.records.lock().iter().cloned().collect()
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub(super) fn status(&self) -> HealingStatus {
        let paused = self.paused.load(Ordering::Acquire);
        self.course.lock().status(paused, clock::now(), &self.healing.settings)
    }

    pub(super) fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }
}

/// Says that something newer is known, also when its runtime ends.
struct Known(Arc<AtomicBool>);

impl Drop for Known {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Healer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healer").field("healing", &self.healing).finish_non_exhaustive()
    }
}
