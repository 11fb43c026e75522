//! The shared state of the circuits of one keyed breaker, and the link of a circuit to it.

use std::fmt;
use std::sync::{Arc, Weak};

use super::counters::Counters;
use super::ejections::{EjectionSlot, Ejections};
use super::transition::{Subscribers, Transition, Transitions};
use crate::base::sync::Mutex;
use crate::signal::{Emit, HandleKind, Place, UnreadStatus};

/// How warnings and metrics name a breaker.
pub(super) const KIND: HandleKind =
    HandleKind { layer: "breaker", kind: "circuit breaker", http_layer: "`.http_layer()`" };

/// The table of the circuits of a group.
pub(super) trait CircuitTable: fmt::Debug + Send + Sync {
    /// The state of the circuit with this name changed, and with it its rank for eviction. `hash` is the hash of its key. A
    /// name belongs to one circuit: circuits that replace each other have equal names, but not the same allocation.
    fn state_changed(&self, hash: u64, name: &Arc<str>);
}

/// The link of a circuit to its group. It stays after an eviction.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: Arc<Group>,
    /// The hash of its key.
    pub(super) hash: u64,
}

impl Member {
    /// Reports a transition that is already visible.
    pub(super) fn changed(&self, transition: &Transition) {
        if let Some(circuits) = self.group.circuits.upgrade() {
            circuits.state_changed(self.hash, &transition.breaker);
        }
        self.group.subscribers.notify(transition);
    }
}

/// The shared state of the circuits of one keyed breaker.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) ejections: Arc<Ejections>,
    circuits: Weak<dyn CircuitTable>,
    subscribers: Subscribers,
    /// The counts that evicted circuits made after their eviction, by calls that were still running.
    late: Mutex<Counters>,
    unread: UnreadStatus,
}

impl Group {
    pub(super) fn new(name: Arc<str>, max_ejected: f64, circuits: Weak<dyn CircuitTable>) -> Arc<Self> {
        Arc::new(Self {
            name,
            ejections: Ejections::new(max_ejected),
            circuits,
            subscribers: Subscribers::default(),
            late: Mutex::default(),
            unread: UnreadStatus::default(),
        })
    }

    /// Adds a circuit; returns its slot among the ejected ones.
    pub(super) fn slot(&self) -> EjectionSlot {
        self.ejections.slot()
    }

    pub(super) fn subscribe(&self) -> Transitions {
        self.subscribers.subscribe()
    }

    /// As `Circuit::see`, for all circuits.
    #[inline(always)]
    pub(super) fn see<Res>(&self, place: Place) {
        self.unread.see::<Res>(&KIND, &self.name, place);
    }

    pub(super) fn emit_unread(&self, emit: &mut Emit<'_>) {
        self.unread.emit(&KIND, &self.name, emit);
    }

    /// Adds the counts of a circuit that is dropped.
    pub(super) fn add_late(&self, counters: &Counters) {
        self.late.lock().add(counters);
    }

    pub(super) fn late(&self) -> Counters {
        self.late.lock().clone()
    }
}
