//! What the circuits of one keyed breaker have in common.

use std::sync::Arc;

use crate::breaker::ejections::{Ejections, Place};
use crate::breaker::tally::Tally;
use crate::breaker::transition::{Subscribers, Transition, Transitions};
use crate::sync::Mutex;

/// See the [module](self).
#[derive(Debug)]
pub(in crate::breaker) struct Group {
    pub(super) name: Arc<str>,
    pub(super) ejections: Arc<Ejections>,
    subscribers: Subscribers,
    /// What circuits counted after they were evicted: calls were under way.
    late: Mutex<Tally>,
}

impl Group {
    pub(super) fn new(name: Arc<str>, max_ejected: f64) -> Arc<Self> {
        Arc::new(Self {
            name,
            ejections: Ejections::new(max_ejected),
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

    pub(in crate::breaker) fn tell(&self, transition: &Transition) {
        self.subscribers.tell(transition);
    }

    /// Keeps what a circuit counted that is gone.
    pub(in crate::breaker) fn keep(&self, tally: &Tally) {
        self.late.lock().add(tally);
    }

    pub(super) fn late(&self) -> Tally {
        self.late.lock().clone()
    }
}
