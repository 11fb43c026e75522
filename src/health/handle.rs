//! The handle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::check::Checks;
use super::component::{Component, Components};
use super::heal::Healers;
use super::round::{KeptOfAll, Rounds};
use super::score::Evidence;
use super::settings::HealthSettings;
use super::snapshot::{ComponentHealth, HealthSnapshot};
use super::status::Status;
use crate::clock::{self, Tick};
use crate::error::ConfigError;
use crate::signal::{self, Emit, HEALTH_SCORE, HEALTH_STATUS, Source, Vitals};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// The health of this process; see the [module](crate::health). Cheap to clone.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Whether they are those of a pipeline, or our own.
    of_pipeline: bool,
    vitals: Arc<Vitals>,
    said: Mutex<Said>,
    draining: AtomicBool,
    cache: Mutex<Option<Cached>>,
    kept: Mutex<KeptOfAll>,
    checks: Arc<Checks>,
    healers: Arc<Healers>,
    rounds: Rounds,
}

/// What people said.
#[derive(Default)]
struct Said {
    components: Arc<Components>,
    settings: Arc<HealthSettings>,
}

struct Cached {
    at: Tick,
    snapshot: Arc<HealthSnapshot>,
}

/// Whether to send requests here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Readiness {
    /// Whether to.
    pub ready: bool,
    /// Whether the process is on its way out.
    pub draining: bool,
    /// The critical components that fail.
    pub missing: Vec<Missing>,
}

/// A critical component that fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Missing {
    /// Its name.
    pub component: Arc<str>,
    /// `Unhealthy` or `Critical`.
    pub status: Status,
    /// Why, the weightiest first.
    pub reasons: Vec<String>,
    /// The components below it that are to blame.
    pub because_of: Vec<Arc<str>>,
}

impl Health {
    /// Health without spans: it knows the circuit breakers, the dead letters and the samplers of this process.
    ///
    /// With telemetry, take [that of the pipeline](crate::Telemetry::health) instead, which is also a metric.
    #[must_use]
    pub fn standalone() -> Self {
        Self::from_parts(None)
    }

    /// Health of the components that have `vitals`, as a metric too.
    pub(super) fn of_vitals(vitals: Arc<Vitals>) -> Self {
        let health = Self::from_parts(Some(vitals));
        signal::register(&health.inner);
        health
    }

    fn from_parts(vitals: Option<Arc<Vitals>>) -> Self {
        let inner = Inner {
            of_pipeline: vitals.is_some(),
            vitals: vitals.unwrap_or_default(),
            said: Mutex::new(Said::default()),
            draining: AtomicBool::new(false),
            cache: Mutex::new(None),
            kept: Mutex::default(),
            checks: Arc::default(),
            healers: Arc::default(),
            rounds: Rounds::default(),
        };
        let health = Self { inner: Arc::new(inner) };
        health.keep_rounds();
        health
    }

    /// Judges by other limits from now on.
    ///
    /// # Errors
    /// Names the setting that is out of its range; then nothing changes.
    pub fn configure(&self, settings: HealthSettings) -> Result<(), ConfigError> {
        settings.validate()?;
        self.inner.said.lock().settings = Arc::new(settings);
        *self.inner.cache.lock() = None;
        Ok(())
    }

    /// Makes a component known, or says something else about one that is.
    ///
    /// A component that is only ever seen in spans, breakers or queues needs no registration.
    ///
    /// # Errors
    /// When it would depend on itself, with the path; when its name is empty, its weight is not more than 0, or
    /// it is critical and optional at once. Then nothing changes.
    pub fn register(&self, component: Component) -> Result<(), ConfigError> {
        Arc::make_mut(&mut self.inner.said.lock().components).register(component)?;
        *self.inner.cache.lock() = None;
        Ok(())
    }

    /// The health of this moment, newly made.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        self.inner.snapshot()
    }

    /// Whether to send requests here: no critical component fails, and the process is not draining.
    ///
    /// A component of which nothing is known does not fail: a new process would never get its first request.
    /// At most as old as [`HealthSettings::cached_for`] says, but for [`Health::drain`], which counts at once.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let draining = self.inner.draining.load(Ordering::Acquire);
        let missing: Vec<Missing> = self.recent().missing().map(Missing::from).collect();
        Readiness { ready: missing.is_empty() && !draining, draining, missing }
    }

    /// Says that the process is on its way out: not ready from now on, so that nobody sends new requests, while
    /// those under way are served. There is no way back.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
    }

    /// A snapshot that may be as old as [`HealthSettings::cached_for`] says: what probes use.
    pub(super) fn recent(&self) -> Arc<HealthSnapshot> {
        self.inner.recent()
    }

    /// The next one who asks gets a new snapshot: something has changed.
    pub(super) fn refresh(&self) {
        *self.inner.cache.lock() = None;
    }

    /// [`Self::refresh`] for somebody who does not keep this health alive.
    pub(super) fn refresher(&self) -> Box<dyn Fn() + Send + Sync> {
        let inner = Arc::downgrade(&self.inner);
        Box::new(move || {
            if let Some(inner) = inner.upgrade() {
                *inner.cache.lock() = None;
            }
        })
    }

    /// The checks.
    pub(super) fn checks(&self) -> &Arc<Checks> {
        &self.inner.checks
    }

    /// The healing actions.
    pub(super) fn healers(&self) -> &Arc<Healers> {
        &self.inner.healers
    }

    /// Sees to it that somebody looks now and then, if there is a runtime here.
    pub(super) fn keep_rounds(&self) {
        self.inner.rounds.keep(&self.inner);
    }
}

impl Inner {
    pub(super) fn settings(&self) -> Arc<HealthSettings> {
        Arc::clone(&self.said.lock().settings)
    }

    /// One look at everything: what is kept is brought up to date, and who heals is told.
    pub(super) fn round(&self) {
        let snapshot = Arc::new(self.snapshot());
        self.healers.after_round(&snapshot);
    }

    fn snapshot(&self) -> HealthSnapshot {
        let mut evidence: BTreeMap<Arc<str>, Evidence> = BTreeMap::new();
        for (name, vital) in self.vitals.readings() {
            evidence.entry(name).or_default().vital = Some(vital);
        }
        for report in self.checks.reports() {
            let component = Arc::clone(&report.component);
            evidence.entry(component).or_default().checks.push(report);
        }
        signal::signs(&mut |name, sign| match evidence.get_mut(name) {
            Some(evidence) => evidence.add(sign),
            None => evidence.entry(name.into()).or_default().add(sign),
        });
        let (components, settings) = {
            let said = self.said.lock();
            (Arc::clone(&said.components), Arc::clone(&said.settings))
        };
        for name in components.names() {
            if !evidence.contains_key(name) {
                evidence.insert(Arc::clone(name), Evidence::default());
            }
        }
        HealthSnapshot::new(&evidence, &components, &settings)
    }

    fn recent(&self) -> Arc<HealthSnapshot> {
        let cached_for = self.said.lock().settings.cached_for;
        let now = clock::now();
        if let Some(cached) = &mut *self.cache.lock() {
            if now.since(cached.at) < cached_for {
                return Arc::clone(&cached.snapshot);
            }
            // One caller makes the next; those that come meanwhile take the old one.
            cached.at = now;
        }
        let snapshot = Arc::new(self.snapshot());
        *self.cache.lock() = Some(Cached { at: now, snapshot: Arc::clone(&snapshot) });
        snapshot
    }
}

impl Source for Inner {
    fn observe(&self, emit: &mut Emit<'_>) {
        for component in &self.recent().components {
            let name = ("component", &*component.name);
            // Full points for a component of which nothing is known would look like health.
            if component.status != Status::Unknown {
                emit(&HEALTH_SCORE, component.score, &[name]);
            }
            for status in Status::ALL {
                let has = f64::from(u8::from(status == component.status));
                emit(&HEALTH_STATUS, has, &[name, ("status", status.as_str())]);
            }
        }
        self.checks.observe(emit);
        self.healers.observe(emit);
    }
}

impl From<&ComponentHealth> for Missing {
    fn from(component: &ComponentHealth) -> Self {
        Self {
            component: Arc::clone(&component.name),
            status: component.status,
            reasons: component.reasons.iter().map(|reason| reason.text.clone()).collect(),
            because_of: component.because_of.clone(),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("spans", &self.inner.of_pipeline)
            .field("draining", &self.inner.draining.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
