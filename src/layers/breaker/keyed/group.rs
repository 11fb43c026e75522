//! The shared state of the circuits of one keyed breaker.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::base::sync::Mutex;
use crate::layers::breaker::circuit::Circuit;
use crate::layers::breaker::ejections::{Ejections, Place};
use crate::layers::breaker::tally::Tally;
use crate::layers::breaker::transition::{Subscribers, Transition, Transitions};

/// The table of a group's circuits.
pub(in crate::layers::breaker) trait Files: fmt::Debug + Send + Sync {
    /// The state of a circuit changed, and with it its worth for eviction.
    fn file(&self, member: &Member, circuit: &Circuit);
}

/// A circuit's link to its group, also after its eviction.
#[derive(Debug)]
pub(in crate::layers::breaker) struct Member {
    pub(in crate::layers::breaker) group: Arc<Group>,
    /// The hash of its key.
    pub(super) hash: u64,
}

impl Member {
    /// Reports a change that is already visible.
    pub(in crate::layers::breaker) fn changed(&self, circuit: &Circuit, transition: &Transition) {
        if let Some(circuits) = self.group.circuits.upgrade() {
            circuits.file(self, circuit);
        }
        self.group.subscribers.tell(transition);
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(in crate::layers::breaker) struct Group {
    pub(super) name: Arc<str>,
    pub(super) ejections: Arc<Ejections>,
    circuits: Weak<dyn Files>,
    subscribers: Subscribers,
    /// The counts of evicted circuits whose calls were still running.
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

    /// A place for another circuit.
    pub(in crate::layers::breaker) fn place(&self) -> Place {
        self.ejections.place()
    }

    pub(super) fn subscribe(&self) -> Transitions {
        self.subscribers.subscribe()
    }

    /// Keeps the counts of a circuit that is gone.
    pub(in crate::layers::breaker) fn keep(&self, tally: &Tally) {
        self.late.lock().add(tally);
    }

    pub(super) fn late(&self) -> Tally {
        self.late.lock().clone()
    }
}
