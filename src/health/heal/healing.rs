//! A healing: an action, its condition and its settings.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::action::Action;
use super::record::HealingRecord;
use super::settings::HealingSettings;
use super::when::When;
use crate::Backoff;
use crate::base::error::ConfigError;
use crate::health::status::Status;

/// Notifies an operator.
pub(super) type Escalate =
    Arc<dyn Fn(Arc<HealingRecord>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Runs an action for a component when a condition holds. [`Health::heal`](crate::Health::heal) takes it.
///
/// # Guarantees
/// - **Limits per hour.** A healing runs at most [`HealingSettings::at_most_per_hour`] actions within any 3,600 seconds, and
///   all healings of one health together at most [`per_hour`](super::HealingLimits::per_hour). Between two actions is a
///   [backoff](HealingSettings::backoff), which grows while they do not help. If the action may end this process, or the
///   process restarts again and again, set a [file](super::HealingLimits::remember_in) that keeps the counts over restarts.
/// - **A standstill does not count.** Time in which this process stood still (stopped, suspended or starved) does not count
///   for [`When::for_at_least`] or any time limit. After it, the checks of the component run before an action starts.
/// - **No overlap.** At most one action of a healing runs at a time, and at most one of all healings of a component; the
///   verification is part of the action. [`at_once`](super::HealingLimits::at_once) limits the actions of all healings. A
///   function that has timed out counts as running until it has ended.
/// - **Records.** Each action leaves one [`HealingRecord`] with its cause, its outcome and its duration.
/// - **Root cause first.** A healing does not start while its component fails because of one that it
///   [depends on](super::super::Component::depends_on), unless
///   [`even_if_caused`](HealingSettings::even_if_caused) is set.
/// - **Verification.** After the action, the checks of the component run and the condition is tested again, until it no
///   longer holds or [time is up](HealingSettings::verify_within). If actions do not help, the healing
///   [escalates](Healing::escalate).
/// - **No start while the process [drains](crate::Health::drain)**, or while an operator has
///   [paused](super::HealingHandle::pause) the healing.
///
/// # Example
/// ```
/// use campanile::Health;
/// use campanile::health::{Action, Healing, Status, When};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let health = Health::standalone();
/// let restart = Healing::new("restart-worker", "worker")
///     .when(When::status_at_least(Status::Unhealthy).for_at_least(Duration::from_secs(30)))
///     .action(Action::command(["systemctl", "restart", "worker"]))
///     .at_most_per_hour(2)
///     .escalate(|record| async move { eprintln!("repair {}: {}", record.component, record.outcome) });
/// let handle = health.heal(restart)?;
/// assert!(handle.records().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a healing does nothing until `Health::heal` adds it"]
pub struct Healing {
    pub(super) name: Arc<str>,
    pub(super) component: Arc<str>,
    pub(super) when: When,
    pub(super) action: Option<Action>,
    pub(super) settings: HealingSettings,
    pub(super) escalate: Option<Escalate>,
}

impl Healing {
    /// A healing of `component` that needs an [action](Healing::action). Unless [`when`](Healing::when) changes the condition,
    /// it starts when the component has been unhealthy for 30 seconds.
    pub fn new(name: impl Into<Arc<str>>, component: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            component: component.into(),
            when: When::status_at_least(Status::Unhealthy).for_at_least(Duration::from_secs(30)),
            action: None,
            settings: HealingSettings::default(),
            escalate: None,
        }
    }

    setters! {
        /// Sets the condition.
        pub fn when(when: When) { when = when; }
        /// Sets the action.
        pub fn action(action: Action) { action = Some(action); }
        /// Replaces all settings, also those that the setters below have set.
        pub fn settings(settings: HealingSettings) { settings = settings; }
        /// See [`HealingSettings::at_most_per_hour`].
        pub fn at_most_per_hour(actions: u32) { settings.at_most_per_hour = actions; }
        /// See [`HealingSettings::backoff`].
        pub fn backoff(backoff: Backoff) { settings.backoff = backoff; }
        /// See [`HealingSettings::timeout`].
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
        /// See [`HealingSettings::verify`].
        pub fn verify(verify: bool) { settings.verify = verify; }
        /// See [`HealingSettings::dry_run`].
        pub fn dry_run(dry_run: bool) { settings.dry_run = dry_run; }
    }

    /// Sets a function that notifies an operator that the healing does not help. It gets the record of the last action.
    ///
    /// It is called when [`escalate_after`](HealingSettings::escalate_after) actions in a row did not help, or when the
    /// condition holds and the limit per hour is used up. It is called once, until
    /// [`well_after`](HealingSettings::well_after) resets it. It may take as long as the
    /// [action](HealingSettings::timeout); a timeout or a panic is logged.
    pub fn escalate<F, Fut>(mut self, escalate: F) -> Self
    where
        F: Fn(Arc<HealingRecord>) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
    {
        self.escalate = Some(Arc::new(move |record| {
            let call = escalate(record);
            Box::pin(async move {
                call.await;
            })
        }));
        self
    }

    /// Validates everything and returns the action.
    pub(super) fn validate(&self) -> Result<Action, ConfigError> {
        const NAME: &str = "a text that is not empty";
        ConfigError::check(!self.name.is_empty(), "healing.name", &self.name, NAME)?;
        ConfigError::check(!self.component.is_empty(), "healing.component", &self.component, NAME)?;
        self.when.validate()?;
        self.settings.validate()?;
        let Some(action) = &self.action else {
            return Err(ConfigError::because("healing.action", "absent", "set it with `Healing::action`"));
        };
        action.validate()?;
        Ok(action.clone())
    }
}

impl fmt::Debug for Healing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Healing")
            .field("name", &self.name)
            .field("component", &self.component)
            .field("when", &self.when)
            .field("action", &self.action)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
