//! Changes of state, and their subscribers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use futures_core::Stream;
use tokio::sync::mpsc;

use super::snapshot::CircuitState;

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The breaker's name.
    pub breaker: Arc<str>,
    /// The old state.
    pub from: CircuitState,
    /// The new state.
    pub to: CircuitState,
    /// The reason.
    pub cause: Cause,
    /// The number of the new epoch; it grows with each transition.
    pub epoch: u64,
    /// The time, by the wall clock.
    pub at: SystemTime,
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The share of failures in the window reached its limit.
    FailureRate(f64),
    /// The share of slow calls in the window reached its limit.
    SlowCallRate(f64),
    /// The failures in a row reached their limit.
    ConsecutiveFailures(u64),
    /// The wait of the open circuit ended.
    WaitOver,
    /// The health probe of the open circuit succeeded.
    HealthProbe,
    /// The probes succeeded.
    ProbesSucceeded,
    /// The probes failed, or were slow.
    ProbesFailed,
    /// Probes were still running after the maximum wait.
    ProbesHung,
    /// An operator or the program changed the state.
    Operator,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailureRate(rate) => write!(f, "{:.0} % of the calls failed", rate * 100.0),
            Self::SlowCallRate(rate) => write!(f, "{:.0} % of the calls were slow", rate * 100.0),
            Self::ConsecutiveFailures(count) => write!(f, "{count} calls failed in a row"),
            Self::WaitOver => f.write_str("the wait is over"),
            Self::HealthProbe => f.write_str("the health probe succeeded"),
            Self::ProbesSucceeded => f.write_str("the probes succeeded"),
            Self::ProbesFailed => f.write_str("the probes failed"),
            Self::ProbesHung => f.write_str("probes were still running after the maximum wait"),
            Self::Operator => f.write_str("an operator or the program changed it"),
        }
    }
}

impl Transition {
    pub(super) fn log(&self) {
        if self.to == CircuitState::Open || self.to == CircuitState::ForcedOpen {
            tracing::warn!(
                target: "campanile::breaker",
                breaker = %self.breaker,
                from = self.from.as_str(),
                to = self.to.as_str(),
                cause = %self.cause,
                "the circuit opened"
            );
        } else {
            tracing::info!(
                target: "campanile::breaker",
                breaker = %self.breaker,
                from = self.from.as_str(),
                to = self.to.as_str(),
                cause = %self.cause,
                "the circuit changed its state"
            );
        }
    }
}

/// Maximum number of transitions that wait for a slow subscriber. It misses the others, with a warning in the log.
const BACKLOG: usize = 1_024;

/// The transitions of one breaker since [`CircuitBreaker::subscribe`](crate::CircuitBreaker::subscribe), in order.
///
/// The stream ends when the last handle and service of the breaker are dropped.
#[derive(Debug)]
pub struct Transitions {
    receiver: mpsc::Receiver<Transition>,
}

impl Transitions {
    /// Waits for the next transition; `None` after the last.
    pub async fn recv(&mut self) -> Option<Transition> {
        self.receiver.recv().await
    }

    /// Returns the next transition if there is one already.
    pub fn try_recv(&mut self) -> Option<Transition> {
        self.receiver.try_recv().ok()
    }
}

impl Stream for Transitions {
    type Item = Transition;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Transition>> {
        self.receiver.poll_recv(cx)
    }
}

/// The subscribers of one breaker.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(ArcSwapOption<Vec<mpsc::Sender<Transition>>>);

impl Subscribers {
    pub(crate) fn subscribe(&self) -> Transitions {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.0.rcu(|senders| {
            let senders = senders.iter().flat_map(|senders| senders.iter());
            let mut senders: Vec<_> = senders.filter(|sender| !sender.is_closed()).cloned().collect();
            senders.push(sender.clone());
            Some(Arc::new(senders))
        });
        Transitions { receiver }
    }

    /// Notifies all subscribers. It wakes tasks, so no lock may be held.
    pub(crate) fn notify(&self, transition: &Transition) {
        for sender in self.0.load().iter().flat_map(|senders| senders.iter()) {
            if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(transition.clone()) {
                tracing::warn!(
                    target: "campanile::breaker",
                    breaker = %transition.breaker,
                    "a subscriber reads its transitions too slowly and missed one"
                );
            }
        }
    }
}
