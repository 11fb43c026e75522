//! The state that all handles of one health share.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cache::Cache;
#[cfg(feature = "checks")]
use super::check::Checks;
#[cfg(feature = "checks")]
use super::check_report::CheckReport;
use super::component::Components;
use super::evidence::Evidence;
#[cfg(feature = "heal")]
use super::heal::Healers;
use super::lifecycle::Lifecycle;
use super::rounds::Rounds;
use super::settings::HealthSettings;
use super::snapshot::HealthSnapshot;
use super::states::States;
use super::summary;
use super::texts::Texts;
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::signal::{self, Vitals};

pub(super) struct Inner {
    /// Whether the vital signs are those of a telemetry pipeline.
    pub(super) of_pipeline: bool,
    pub(super) vitals: Arc<Vitals>,
    pub(super) config: Mutex<Config>,
    /// Removes secrets from the texts of checks and healings.
    pub(super) texts: Texts,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) cache: Cache,
    pub(super) states: Mutex<States>,
    #[cfg(feature = "checks")]
    pub(super) checks: Arc<Checks>,
    #[cfg(feature = "heal")]
    pub(super) healers: Arc<Healers>,
    pub(super) rounds: Rounds,
}

/// The configuration by the user.
#[derive(Clone, Default)]
pub(super) struct Config {
    pub(super) components: Arc<Components>,
    pub(super) settings: Arc<HealthSettings>,
}

impl Inner {
    pub(super) fn new(vitals: Option<Arc<Vitals>>, texts: Texts, settings: HealthSettings) -> Self {
        let config = Config { settings: Arc::new(settings), ..Config::default() };
        Self {
            of_pipeline: vitals.is_some(),
            vitals: vitals.unwrap_or_default(),
            config: Mutex::new(config),
            texts,
            lifecycle: Arc::default(),
            cache: Cache::default(),
            states: Mutex::default(),
            #[cfg(feature = "checks")]
            checks: Arc::default(),
            #[cfg(feature = "heal")]
            healers: Arc::default(),
            rounds: Rounds::default(),
        }
    }

    pub(super) fn config(&self) -> Config {
        self.config.lock().clone()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Starts the task that takes a snapshot once a round, unless it runs.
    pub(super) fn ensure_rounds(self: &Arc<Self>) {
        let inner = Arc::downgrade(self);
        self.rounds.ensure_running(&self.vitals, move || inner.upgrade().map(|inner| inner.round()));
    }
}

// ===== readiness =====

impl Inner {
    pub(super) fn is_ready(&self) -> bool {
        !self.is_draining() && self.waiting_for().is_empty() && self.critical_components_serve()
    }

    /// Costs neither a lock nor an allocation while the cached snapshot is valid.
    fn critical_components_serve(&self) -> bool {
        self.cache.ready(clock::now()).unwrap_or_else(|| self.recent().is_ready())
    }

    /// The names of what the start waits for. Once there are none, the start is complete and stays so.
    pub(super) fn waiting_for(&self) -> Vec<Arc<str>> {
        let lifecycle = &self.lifecycle;
        if lifecycle.is_started() {
            return Vec::new();
        }
        let mut expected = lifecycle.had_gates();
        let mut waiting = lifecycle.pending_gates();
        #[cfg(feature = "checks")]
        for report in self.critical_checks() {
            expected = true;
            if !report.passed_once {
                let (component, check) = (&report.component, &report.check);
                waiting.push(match component == check {
                    true => Arc::clone(component),
                    false => format!("{component}/{check}").into(),
                });
            }
        }
        // Without any gate or critical check so far, one may still be added.
        if expected && waiting.is_empty() {
            lifecycle.set_started();
        }
        waiting
    }

    #[cfg(feature = "checks")]
    fn critical_checks(&self) -> impl Iterator<Item = Arc<CheckReport>> {
        let components = self.config().components;
        let critical = move |name: &str| components.get(name).is_some_and(|component| component.critical);
        self.checks.reports().into_iter().filter(move |report| critical(&report.component))
    }
}

// ===== snapshots =====

impl Inner {
    /// Discards the cached snapshot, since something has changed.
    pub(super) fn refresh(&self) {
        self.cache.invalidate();
        self.lifecycle.notify();
    }

    /// A snapshot that may be as old as the settings say.
    pub(super) fn recent(&self) -> Arc<HealthSnapshot> {
        let now = clock::now();
        let keep_for = self.config.lock().settings.cached_for;
        match self.cache.get(now, keep_for) {
            Ok(snapshot) => snapshot,
            Err(ticket) => {
                let snapshot = self.snapshot(now);
                self.cache.put(ticket, now, keep_for, &snapshot);
                snapshot
            }
        }
    }

    /// Takes a snapshot if a round is due. Returns the time until the next round.
    fn round(&self) -> Duration {
        let now = clock::now();
        let next = self.states.lock().next_round();
        if now < next {
            return next.since(now);
        }
        let ticket = self.cache.ticket();
        let settings = self.config().settings;
        self.cache.put(ticket, now, settings.cached_for, &self.snapshot(now));
        settings.round
    }

    /// Takes a snapshot, and does what is due in this round.
    pub(super) fn snapshot(&self, now: Tick) -> Arc<HealthSnapshot> {
        // Snapshots are taken one after the other: an older one must not undo what a newer one found.
        let mut states = self.states.lock();
        let config = self.config();
        let mut evidence = states.take_buffer();
        self.collect(&config.components, &mut evidence);
        let stalled = self.vitals.heartbeat().stalled(now);
        let round = states.update(now, stalled, &mut evidence, &config.settings);
        let judge = |index, evidence: &Evidence| states.judge(index, now, evidence, &config.settings);
        let snapshot = Arc::new(summary::summarize(
            &evidence,
            &config.components,
            config.settings.unwell_components,
            judge,
        ));
        states.return_buffer(evidence);
        drop(states);
        #[cfg(feature = "heal")]
        if let Some(round) = round {
            self.healers.after_round(&snapshot, round);
        }
        #[cfg(not(feature = "heal"))]
        let _ = round;
        snapshot
    }

    /// Collects the evidence about each component, sorted by name.
    fn collect(&self, registered: &Components, found: &mut Vec<(Arc<str>, Evidence)>) {
        self.collect_calls(registered, found);
        // Most other sources speak for one of these components: a search among a thousand of them is faster than a map.
        let mut others: BTreeMap<Arc<str>, Evidence> = BTreeMap::new();
        let mut add_to = |name: &str, add: &mut dyn FnMut(&mut Evidence)| match found
            .binary_search_by(|(other, _)| other.as_ref().cmp(name))
        {
            Ok(index) => add(&mut found[index].1),
            Err(_) => match others.get_mut(name) {
                Some(evidence) => add(evidence),
                None => add(others.entry(name.into()).or_default()),
            },
        };
        #[cfg(feature = "checks")]
        for report in self.checks.reports() {
            add_to(&report.component, &mut |evidence| evidence.checks.push(Arc::clone(&report)));
        }
        signal::signs(&mut |name, sign| add_to(name, &mut |evidence| evidence.add(sign.clone())));
        if !others.is_empty() {
            found.extend(others);
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
    }

    /// Collects the components that were called or are registered, sorted by name.
    fn collect_calls(&self, registered: &Components, found: &mut Vec<(Arc<str>, Evidence)>) {
        let mut registered = registered.names().peekable();
        self.vitals.each(|name, vital| {
            let mut name = name;
            while let Some(next) = registered.peek() {
                match (***next).cmp(&**name) {
                    Ordering::Less => found.push((Arc::clone(next), Evidence::default())),
                    // The same allocation everywhere: a comparison of pointers is enough later.
                    Ordering::Equal => name = next,
                    Ordering::Greater => break,
                }
                registered.next();
            }
            found.push((Arc::clone(name), Evidence { vital: Some(vital), ..Evidence::default() }));
        });
        found.extend(registered.map(|name| (Arc::clone(name), Evidence::default())));
    }
}
