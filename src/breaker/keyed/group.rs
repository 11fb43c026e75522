//! What the circuits of one keyed breaker have in common.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::breaker::circuit::Circuit;
use crate::breaker::ejections::{Ejections, Place};
use crate::breaker::tally::Tally;
use crate::breaker::transition::{Subscribers, Transition, Transitions};
use crate::sync::Mutex;

/// Where the circuits of a group are kept.
pub(in crate::breaker) trait Files: fmt::Debug + Send + Sync {
    /// The state of a circuit changed, and with it what it is worth when one has to go.
    fn file(&self, member: &Member, circuit: &Circuit);
}

/// What a circuit knows of the group that it is, or was, a circuit of.
#[derive(Debug)]
pub(in crate::breaker) struct Member {
    pub(in crate::breaker) group: Arc<Group>,
    /// The hash of its key.
    pub(super) hash: u64,
}

impl Member {
    /// Tells of a change that is visible by now.
    pub(in crate::breaker) fn changed(&self, circuit: &Circuit, transition: &Transition) {
        if let Some(circuits) = self.group.circuits.upgrade() {
            circuits.file(self, circuit);
        }
        self.group.subscribers.tell(transition);
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(in crate::breaker) struct Group {
    pub(super) name: Arc<str>,
    pub(super) ejections: Arc<Ejections>,
    circuits: Weak<dyn Files>,
    subscribers: Subscribers,
    /// What circuits counted after they were evicted: calls were under way.
    late: Mutex<Tally>,
}

impl Group {
    pub(super) fn new(name: Arc<str>, max_ejected: f64, circuits: Weak<dyn Files>) -> Arc<Self> {
        Arc::new(Self {
            name,
            ejections: Ejections::new(max_ejected),
            circuits,
            subscribers: Subscribers::default(),
            late: Mutex::default(),
        })
    }

    /// A place for one circuit more.
    pub(in crate::breaker) fn place(&self) -> Place {
        self.ejections.place()
    }

    pub(super) fn subscribe(&self) -> Transitions {
        self.subscribers.subscribe()
    }

    /// Keeps what a circuit counted that is gone.
    pub(in crate::breaker) fn keep(&self, tally: &Tally) {
        self.late.lock().add(tally);
    }

    pub(super) fn late(&self) -> Tally {
        self.late.lock().clone()
    }
}
