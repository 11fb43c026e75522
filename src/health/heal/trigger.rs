//! When a healing starts: in a round in which its condition holds and every limit allows it.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::healer::Healer;
use super::healing::Healing;
use super::record::{HealingRecord, Withheld};
use super::run::Run;
use super::shared::Shared;
use crate::base::clock::{self, Tick};
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::health::snapshot::{ComponentHealth, HealthSnapshot};
use crate::health::states::Round;

impl Healer {
    /// Starts the healing, if its condition has held long enough.
    pub(super) fn after_round(self: &Arc<Self>, snapshot: &HealthSnapshot, round: Round) {
        let Healing { name, component, when, settings, .. } = &self.healing;
        let component = snapshot.component(component).filter(|component| when.holds(name, component));
        let now = clock::now();
        let called_for =
            self.pacing.lock().observe(component.is_some(), when.for_at_least, round.ran, settings);
        if round.woke && component.is_some() {
            self.recheck();
        }
        let Some(component) = component.filter(|_| called_for) else { return };
        if self.rechecking.load(Ordering::Acquire) {
            return;
        }
        match self.start_by_itself(component, now) {
            // While the action runs, its condition still holds.
            Ok(_) | Err(Withheld::Running) => {}
            Err(withheld) => self.withhold(withheld),
        }
    }

    /// Runs the checks of the component after a standstill. The healing does not start by itself before they have run,
    /// because what is known of the component is from before the standstill.
    fn recheck(&self) {
        let (Some(runtime), Some(context)) = (self.runtime(), self.context.upgrade()) else {
            return;
        };
        if self.rechecking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (checks, component) = (context.checks(), Arc::clone(&self.healing.component));
        let rechecking = Rechecking(Arc::clone(&self.rechecking));
        runtime.spawn(async move {
            let _rechecking = rechecking;
            checks.run(&component).await;
        });
    }

    fn start_by_itself(
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
        self.start(Some(component), false, now)
    }

    /// Starts the healing, if every limit allows it.
    pub(super) fn start(
        self: &Arc<Self>,
        component: Option<&ComponentHealth>,
        by_hand: bool,
        now: Tick,
    ) -> Result<JoinHandle<Arc<HealingRecord>>, Withheld> {
        if self.context.upgrade().is_some_and(|context| context.is_draining()) {
            return Err(Withheld::Draining);
        }
        let runtime = self.runtime().ok_or(Withheld::NoRuntime)?;
        let permit = {
            let mut pacing = self.pacing.lock();
            pacing.may_start(now, &self.healing.settings)?;
            let permit = Shared::acquire(&self.shared, &self.healing.component, now)?;
            pacing.start(now);
            permit
        };
        let run = Run::new(Arc::clone(self), permit, component, by_hand, now);
        Ok(runtime.spawn(run.run()))
    }

    fn withhold(&self, withheld: Withheld) {
        let mut pacing = self.pacing.lock();
        let is_new = pacing.withhold(withheld);
        let escalates =
            withheld == Withheld::HourlyLimit && !self.healing.settings.dry_run && pacing.escalate();
        drop(pacing);
        if is_new {
            self.counters.add_withheld(withheld);
            tracing::info!(
                target: "campanile::health",
                component = &*self.healing.component,
                healing = &*self.healing.name,
                reason = withheld.as_str(),
                "a healing does not start although its condition holds: {withheld}"
            );
        }
        if escalates {
            self.escalate_limit();
        }
    }
}

/// Marks the checks as done when it is dropped, which also happens when the runtime ends.
struct Rechecking(Arc<AtomicBool>);

impl Drop for Rechecking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
