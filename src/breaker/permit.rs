//! A call's place in a circuit, given back by `Drop` whatever happens to the call.

use std::fmt;
use std::sync::Arc;

use super::circuit::{Admission, Circuit};
use crate::clock::{self, Tick};
use crate::error::Rejected;
use crate::outcome::{FailureKind, Outcome, Settle};

/// The right to make one call. Dropped, it is given back: unused, or with what became of the call.
pub struct Permit {
    circuit: Arc<Circuit>,
    admission: Admission,
    phase: Phase,
    /// When the call began; without a slow-call limit, when it was first found unfinished.
    since: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The call has not begun.
    Reserved,
    /// The call waits for its next poll.
    Waiting,
    /// Its code runs.
    Running,
    /// Its outcome is known.
    Settled,
}

impl Permit {
    /// A permit for a call that may come.
    pub(super) fn acquire(circuit: &Arc<Circuit>) -> Result<Self, Rejected> {
        let admission = circuit.admit()?;
        Ok(Self { circuit: Arc::clone(circuit), admission, phase: Phase::Reserved, since: None })
    }

    /// A permit whose call begins now; a refusal is one of a call.
    pub(super) fn begin(circuit: &Arc<Circuit>) -> Result<Self, Rejected> {
        loop {
            let mut permit =
                Self::acquire(circuit).inspect_err(|rejected| circuit.count_refusal(rejected))?;
            if permit.start() {
                return Ok(permit);
            }
        }
    }

    /// The call begins: until [`Settle::in_user_code`] says otherwise its code runs. False when the circuit changed
    /// since it gave the permit, which is then worth nothing.
    #[inline]
    pub(super) fn start(&mut self) -> bool {
        if !self.circuit.start(self.admission) {
            return false;
        }
        self.phase = Phase::Running;
        if self.circuit.is_timed() {
            self.since = Some(clock::now());
        }
        true
    }
}

impl Settle for Permit {
    #[inline]
    fn settle(mut self, outcome: Outcome) {
        self.phase = Phase::Settled;
        let elapsed =
            if self.circuit.is_timed() { self.since.map(|since| clock::now().since(since)) } else { None };
        self.circuit.settle(self.admission, outcome, elapsed);
    }

    #[inline]
    fn in_user_code(&mut self, running: bool) {
        self.phase = if running { Phase::Running } else { Phase::Waiting };
    }

    fn pending(&mut self) {
        if self.since.is_none() {
            self.since = Some(clock::now());
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.phase != Phase::Settled {
            self.abandoned();
        }
    }
}

impl Permit {
    #[cold]
    fn abandoned(&mut self) {
        let elapsed = self.since.map(|since| clock::now().since(since));
        let outcome = match self.phase {
            Phase::Reserved => return self.circuit.release(self.admission),
            Phase::Running => Outcome::Failure(FailureKind::Panic),
            Phase::Waiting | Phase::Settled => {
                let limit = self.circuit.settings.cancelled_after();
                match (elapsed, limit) {
                    (Some(elapsed), Some(limit)) if elapsed > limit => {
                        Outcome::Failure(FailureKind::Cancelled)
                    }
                    _ => Outcome::Ignored,
                }
            }
        };
        self.circuit.settle(self.admission, outcome, elapsed);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("circuit", &self.circuit.name)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
