//! What a healing is made of.

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

/// Tells somebody.
pub(super) type Escalate =
    Arc<dyn Fn(Arc<HealingRecord>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// An action for a component, what calls for it, and its limits. [`Health::heal`](crate::Health::heal) takes it.
///
/// # What it promises
/// - **Limited per hour.** No healing begins more often than [`HealingSettings::at_most_per_hour`] within any 3,600
///   seconds, and all of one health together no more often than [`per_hour`](super::HealingLimits::per_hour). Between two
///   actions lies a [wait](HealingSettings::backoff) that grows while they do not help. Where what heals may end this
///   process, or it restarts again and again, a [file](super::HealingLimits::remember_in) keeps the hour over restarts.
/// - **Not for our own fault.** Time in which this process stood still, stopped, suspended or starved, counts for no
///   [`When::for_at_least`] and no limit of time; after it the checks of the component run before anything begins.
/// - **Never overlaps itself.** One action of a healing runs at a time, and of all healings of one component; the time in
///   which it is looked whether it helped belongs to it. A few run at once in all
///   ([`at_once`](super::HealingLimits::at_once)). A function whose time is up counts as running until it is gone.
/// - **Recorded.** Each action that begins leaves one [`HealingRecord`]: why, what came of it, how long it took.
/// - **Root cause first.** A component that fails because of one that it
///   [depends on](super::super::Component::depends_on) is left alone, unless its healing says
///   [otherwise](HealingSettings::even_if_caused).
/// - **Verified.** After the action the checks of the component run, and what called for it is looked at again, until it
///   is over or [time is up](HealingSettings::verify_within). When it does not help, somebody
///   [is told](Healing::escalate).
/// - **Nothing begins while the process is [on its way out](crate::Health::drain)**, or while somebody
///   [paused](super::HealingHandle::pause) it.
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
///     .escalate(|record| async move { eprintln!("{} needs you: {}", record.component, record.outcome) });
/// let handle = health.heal(restart)?;
/// assert!(handle.records().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a healing does nothing until `Health::heal` has it"]
pub struct Healing {
    pub(super) name: Arc<str>,
    pub(super) component: Arc<str>,
    pub(super) when: When,
    pub(super) action: Option<Action>,
    pub(super) settings: HealingSettings,
    pub(super) escalate: Option<Escalate>,
}

impl Healing {
    /// A healing called `name` for `component`, when that is unhealthy for 30 seconds. It needs an
    /// [action](Healing::action).
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
        /// What calls for it.
        pub fn when(when: When) { when = when; }
        /// What it does.
        pub fn action(action: Action) { action = Some(action); }
        /// Starts over from settings that were read from somewhere.
        pub fn settings(settings: HealingSettings) { settings = settings; }
        /// See [`HealingSettings::at_most_per_hour`].
        pub fn at_most_per_hour(actions: u32) { settings.at_most_per_hour = actions; }
        /// See [`HealingSettings::backoff`].
        pub fn backoff(backoff: Backoff) { settings.backoff = backoff; }
        /// See [`HealingSettings::timeout`].
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
        /// See [`HealingSettings::verify`].
        pub fn verify(verify: bool) { settings.verify = verify; }
        /// See [`HealingSettings::verify_after`].
        pub fn verify_after(first: Duration) { settings.verify_after = first; }
        /// See [`HealingSettings::verify_within`].
        pub fn verify_within(last: Duration) { settings.verify_within = last; }
        /// See [`HealingSettings::well_after`].
        pub fn well_after(well: Duration) { settings.well_after = well; }
        /// See [`HealingSettings::escalate_after`].
        pub fn escalate_after(actions: u32) { settings.escalate_after = actions; }
        /// See [`HealingSettings::dry_run`].
        pub fn dry_run(dry_run: bool) { settings.dry_run = dry_run; }
        /// See [`HealingSettings::even_if_caused`].
        pub fn even_if_caused(even_if_caused: bool) { settings.even_if_caused = even_if_caused; }
    }

    /// Tells somebody that it does not help, with the record of the last action: when
    /// [so many](HealingSettings::escalate_after) did not, or when it is called for and has begun as often as it may
    /// within the hour. Once, until the component has been [well for long](HealingSettings::well_after).
    ///
    /// It has as long as the [action](HealingSettings::timeout), and its panic harms nobody.
    pub fn escalate<F, Fut>(mut self, escalate: F) -> Self
    where
        F: Fn(Arc<HealingRecord>) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
    {
        self.escalate = Some(Arc::new(move |record| {
            let told = escalate(record);
            Box::pin(async move {
                told.await;
            })
        }));
        self
    }

    /// Whether everything is there and in its range; gives the action.
    pub(super) fn validate(&self) -> Result<Action, ConfigError> {
        const SOME: &str = "any text but an empty one";
        ConfigError::check(!self.name.is_empty(), "healing.name", &self.name, SOME)?;
        ConfigError::check(!self.component.is_empty(), "healing.component", &self.component, SOME)?;
        self.when.validate()?;
        self.settings.validate()?;
        let Some(action) = &self.action else {
            return Err(ConfigError::new(
                "healing.action",
                "absent",
                "say what to do with `Healing::action`",
            ));
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
