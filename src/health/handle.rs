//! The handle.

use std::fmt;
use std::sync::{Arc, Weak};

use super::cache::Cache;
#[cfg(feature = "checks")]
use super::check::Checks;
use super::component::{Component, Components};
#[cfg(feature = "heal")]
use super::heal::Healers;
use super::metrics;
use super::probe::Life;
use super::round::{KeptOfAll, Rounds};
use super::settings::HealthSettings;
use super::snapshot::HealthSnapshot;
use super::texts::Texts;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::signal::{self, Vitals};

/// The health of this process; see the [module](crate::health). Cheap to clone.
#[derive(Clone)]
pub struct Health {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Whether they are those of a pipeline, or our own.
    of_pipeline: bool,
    pub(super) vitals: Arc<Vitals>,
    said: Mutex<Said>,
    /// What takes secrets out of the texts of checks and healings.
    pub(super) texts: Texts,
    /// Where in its life the process is.
    pub(super) life: Arc<Life>,
    pub(super) cache: Cache,
    pub(super) kept: Mutex<KeptOfAll>,
    #[cfg(feature = "checks")]
    pub(super) checks: Arc<Checks>,
    #[cfg(feature = "heal")]
    pub(super) healers: Arc<Healers>,
    rounds: Rounds,
}

/// What people said.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) components: Arc<Components>,
    pub(super) settings: Arc<HealthSettings>,
}

impl Health {
    /// Health without spans: it knows the circuit breakers, the dead letters and the samplers of this process. The texts
    /// of checks and healings are redacted by the default [`RedactionSettings`](crate::base::redact::RedactionSettings).
    ///
    /// With telemetry, take [that of the pipeline](crate::Telemetry::health) instead, which is also a metric.
    #[must_use]
    pub fn standalone() -> Self {
        Self::from_parts(None, Texts::default())
    }

    /// Health of the components that have `vitals`, as a metric too.
    pub(super) fn of_vitals(vitals: Arc<Vitals>, texts: Texts) -> Self {
        let health = Self::from_parts(Some(vitals), texts);
        signal::register(&health.inner);
        metrics::speak(&health.inner);
        health
    }

    fn from_parts(vitals: Option<Arc<Vitals>>, texts: Texts) -> Self {
        let inner = Inner {
            of_pipeline: vitals.is_some(),
            vitals: vitals.unwrap_or_default(),
            said: Mutex::new(Said::default()),
            texts,
            life: Arc::default(),
            cache: Cache::default(),
            kept: Mutex::default(),
            #[cfg(feature = "checks")]
            checks: Arc::default(),
            #[cfg(feature = "heal")]
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
        self.refresh();
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
        self.refresh();
        Ok(())
    }

    /// The health of this moment, newly made.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        Arc::unwrap_or_clone(self.inner.look(clock::now()))
    }

    /// A snapshot that may be as old as [`HealthSettings::cached_for`] says: what probes use.
    pub(super) fn recent(&self) -> Arc<HealthSnapshot> {
        self.inner.recent()
    }

    /// The next one who asks gets a new snapshot: something has changed.
    pub(super) fn refresh(&self) {
        self.inner.refresh();
    }

    /// Where in its life the process is.
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.inner.life
    }

    /// The vital signs of the components.
    pub(super) fn vitals(&self) -> &Arc<Vitals> {
        &self.inner.vitals
    }

    /// [`Self::refresh`] for somebody who does not keep this health alive.
    pub(super) fn refresher(&self) -> Box<dyn Fn() + Send + Sync> {
        let inner = Arc::downgrade(&self.inner);
        Box::new(move || {
            if let Some(inner) = inner.upgrade() {
                inner.refresh();
            }
        })
    }

    /// The checks.
    #[cfg(feature = "checks")]
    pub(super) fn checks(&self) -> &Arc<Checks> {
        &self.inner.checks
    }

    /// What takes secrets out of the texts of checks and healings.
    pub(super) fn texts(&self) -> &Texts {
        &self.inner.texts
    }

    /// The healing actions.
    #[cfg(feature = "heal")]
    pub(super) fn healers(&self) -> &Arc<Healers> {
        &self.inner.healers
    }

    /// The inside, for those who must not keep it alive.
    pub(super) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    /// The health that `inner` is the inside of.
    pub(super) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Sees to it that somebody looks now and then, if there is a runtime here.
    pub(super) fn keep_rounds(&self) {
        self.inner.rounds.keep(&self.inner);
    }
}

impl Inner {
    pub(super) fn said(&self) -> Said {
        self.said.lock().clone()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.life.is_draining()
    }

    /// See [`Health::refresh`].
    fn refresh(&self) {
        self.cache.forget();
        self.life.wake();
    }

    /// Whether no critical component fails.
    pub(super) fn works(&self) -> bool {
        self.cache.ready(clock::now()).unwrap_or_else(|| self.recent().is_ready())
    }

    /// A snapshot that may be as old as the settings say.
    pub(super) fn recent(&self) -> Arc<HealthSnapshot> {
        let now = clock::now();
        let keep_for = self.said.lock().settings.cached_for;
        match self.cache.get(now, keep_for) {
            Ok(snapshot) => snapshot,
            Err(turn) => {
                let snapshot = self.look(now);
                self.cache.put(turn, now, keep_for, &snapshot);
                snapshot
            }
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("spans", &self.inner.of_pipeline)
            .field("draining", &self.inner.is_draining())
            .finish_non_exhaustive()
    }
}
