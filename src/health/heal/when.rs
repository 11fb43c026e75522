//! What calls for a healing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::base::panics::catch;
use crate::health::reason::ReasonKind;
use crate::health::snapshot::ComponentHealth;
use crate::health::status::Status;

/// What calls for a healing. It is looked at once a round ([`HealthSettings::round`](super::super::HealthSettings)),
/// never while a request is served.
///
/// # Example
/// ```
/// use campanile::health::{ReasonKind, Status, When};
/// use std::time::Duration;
///
/// let ill = When::status_at_least(Status::Unhealthy).for_at_least(Duration::from_secs(30));
/// let shut = When::reason(ReasonKind::CircuitOpen);
/// let busy = When::custom(|component| component.letters.is_some_and(|waiting| waiting > 500));
/// # let _ = (ill, shut, busy);
/// ```
#[derive(Clone)]
#[must_use]
pub struct When {
    matter: Matter,
    pub(super) for_at_least: Duration,
}

#[derive(Clone)]
enum Matter {
    Status(Status),
    Reason(ReasonKind),
    Risk(f64),
    Custom(Arc<dyn Fn(&ComponentHealth) -> bool + Send + Sync>),
}

impl When {
    /// It is as bad as `status`, or worse: [`Degraded`](Status::Degraded), [`Unhealthy`](Status::Unhealthy) or
    /// [`Critical`](Status::Critical).
    pub fn status_at_least(status: Status) -> Self {
        Self::new(Matter::Status(status))
    }

    /// Its score lost points for `kind`.
    pub fn reason(kind: ReasonKind) -> Self {
        Self::new(Matter::Reason(kind))
    }

    /// Its [risk](super::super::Outlook::risk) is more than `risk`, which is at least 0 and less than 1.
    pub fn risk_above(risk: f64) -> Self {
        Self::new(Matter::Risk(risk))
    }

    /// `holds` says so. Must be quick: it is asked each round. One that panics has said no.
    pub fn custom<F>(holds: F) -> Self
    where
        F: Fn(&ComponentHealth) -> bool + Send + Sync + 'static,
    {
        Self::new(Matter::Custom(Arc::new(holds)))
    }

    /// Only when it has been so at each look for so long. Default: the first look is enough.
    pub fn for_at_least(mut self, long: Duration) -> Self {
        self.for_at_least = long;
        self
    }

    fn new(matter: Matter) -> Self {
        Self { matter, for_at_least: Duration::ZERO }
    }

    pub(super) fn holds(&self, component: &ComponentHealth) -> bool {
        match &self.matter {
            Matter::Status(status) => component.status >= *status,
            Matter::Reason(kind) => component.reasons.iter().any(|reason| reason.kind == *kind),
            Matter::Risk(risk) => component.outlook.as_ref().is_some_and(|outlook| outlook.risk > *risk),
            Matter::Custom(holds) => catch(|| holds(component)).unwrap_or_else(|_| {
                tracing::error!(
                    target: "campanile::health",
                    component = &*component.name,
                    "the condition of a healing panicked, and counts as one that does not hold"
                );
                false
            }),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self.matter {
            Matter::Status(status) => ConfigError::check(
                status >= Status::Degraded,
                "healing.when.status_at_least",
                status,
                "`Degraded`, `Unhealthy` or `Critical`: what is well needs no healing",
            ),
            Matter::Risk(risk) => ConfigError::check(
                (0.0..1.0).contains(&risk),
                "healing.when.risk_above",
                risk,
                "at least 0 and less than 1",
            ),
            Matter::Reason(_) | Matter::Custom(_) => Ok(()),
        }
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("When");
        match &self.matter {
            Matter::Status(status) => debug.field("status_at_least", status),
            Matter::Reason(kind) => debug.field("reason", kind),
            Matter::Risk(risk) => debug.field("risk_above", risk),
            Matter::Custom(_) => debug.field("custom", &"_"),
        };
        debug.field("for_at_least", &self.for_at_least).finish()
    }
}
