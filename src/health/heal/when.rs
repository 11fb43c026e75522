//! The condition of a healing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::base::panics::catch;
use crate::health::reason::ReasonKind;
use crate::health::snapshot::ComponentHealth;
use crate::health::status::Status;

/// The condition of a [`Healing`](super::Healing). It is tested once a round
/// ([`HealthSettings::round`](super::super::HealthSettings)), never while a request is served.
///
/// # Example
/// ```
/// use campanile::health::{ReasonKind, Status, When};
/// use std::time::Duration;
///
/// let unhealthy = When::status_at_least(Status::Unhealthy).for_at_least(Duration::from_secs(30));
/// let open = When::reason(ReasonKind::CircuitOpen);
/// let backlog = When::custom(|component| component.letters.is_some_and(|waiting| waiting > 500));
/// # let _ = (unhealthy, open, backlog);
/// ```
#[derive(Clone)]
#[must_use]
pub struct When {
    condition: Condition,
    pub(super) for_at_least: Duration,
}

#[derive(Clone)]
enum Condition {
    Status(Status),
    Reason(ReasonKind),
    Risk(f64),
    Custom(Arc<dyn Fn(&ComponentHealth) -> bool + Send + Sync>),
}

impl When {
    /// Holds when the status of the component is `status` or worse: [`Degraded`](Status::Degraded), [`Unhealthy`](Status::Unhealthy) or
    /// [`Critical`](Status::Critical).
    pub fn status_at_least(status: Status) -> Self {
        Self::new(Condition::Status(status))
    }

    /// Holds when `kind` is among the reasons of the component.
    pub fn reason(kind: ReasonKind) -> Self {
        Self::new(Condition::Reason(kind))
    }

    /// Holds when the [risk](super::super::Outlook::risk) of the component is more than `risk`, which is at least 0 and less
    /// than 1.
    pub fn risk_above(risk: f64) -> Self {
        Self::new(Condition::Risk(risk))
    }

    /// Holds when `holds` returns `true`. The function is called once a round and must be fast. A panic counts as `false`.
    pub fn custom<F>(holds: F) -> Self
    where
        F: Fn(&ComponentHealth) -> bool + Send + Sync + 'static,
    {
        Self::new(Condition::Custom(Arc::new(holds)))
    }

    setters! {
        /// Requires that the condition has held in each round for this long. Default: zero, so that one round is enough.
        pub fn for_at_least(duration: Duration) { for_at_least = duration; }
    }

    fn new(condition: Condition) -> Self {
        Self { condition, for_at_least: Duration::ZERO }
    }

    /// Whether the condition of `healing` holds for `component`.
    pub(super) fn holds(&self, healing: &str, component: &ComponentHealth) -> bool {
        match &self.condition {
            Condition::Status(status) => component.status >= *status,
            Condition::Reason(kind) => component.reasons.iter().any(|reason| reason.kind == *kind),
            Condition::Risk(risk) => component.outlook.as_ref().is_some_and(|outlook| outlook.risk > *risk),
            Condition::Custom(holds) => catch(|| holds(component)).unwrap_or_else(|_| {
                tracing::error!(
                    target: "campanile::health",
                    component = &*component.name,
                    healing,
                    "the condition of a healing panicked, so it counts as not met"
                );
                false
            }),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self.condition {
            Condition::Status(status) => ConfigError::check(
                status >= Status::Degraded,
                "healing.when.status_at_least",
                status,
                "`Degraded`, `Unhealthy` or `Critical`",
            ),
            Condition::Risk(risk) => ConfigError::check(
                (0.0..1.0).contains(&risk),
                "healing.when.risk_above",
                risk,
                "at least 0 and less than 1",
            ),
            Condition::Reason(_) | Condition::Custom(_) => Ok(()),
        }
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("When");
        match &self.condition {
            Condition::Status(status) => debug.field("status_at_least", status),
            Condition::Reason(kind) => debug.field("reason", kind),
            Condition::Risk(risk) => debug.field("risk_above", risk),
            Condition::Custom(_) => debug.field("custom", &"_"),
        };
        debug.field("for_at_least", &self.for_at_least).finish()
    }
}
