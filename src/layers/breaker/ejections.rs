//! The limit of circuits of a keyed breaker that are open at once.
//!
//! When most upstreams fail at once, the cause is rarely each of them: it is the network or this process. Opening all
//! circuits would then make the outage worse. The rule is Envoy's `max_ejection_percent`.

use std::sync::Arc;

use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The open and half-open circuits of one keyed breaker, and their limit.
#[derive(Debug)]
pub(super) struct Ejections {
    share: f64,
    /// The number of all circuits.
    circuits: AtomicU64,
    ejected: AtomicU64,
}

/// The slot of a circuit among the ejected ones. It is taken while the circuit is open or half-open.
#[derive(Debug, Default)]
pub(super) struct EjectionSlot {
    ejections: Option<Arc<Ejections>>,
    taken: bool,
}

impl Ejections {
    pub(super) fn new(share: f64) -> Arc<Self> {
        Arc::new(Self { share, circuits: AtomicU64::new(0), ejected: AtomicU64::new(0) })
    }

    /// Adds a circuit; returns its slot.
    pub(super) fn slot(self: &Arc<Self>) -> EjectionSlot {
        self.circuits.fetch_add(1, Ordering::Relaxed);
        EjectionSlot { ejections: Some(Arc::clone(self)), taken: false }
    }

    /// The circuits that are open or half-open.
    pub(super) fn ejected(&self) -> u64 {
        self.ejected.load(Ordering::Relaxed)
    }

    /// The maximum number of ejected circuits: the share of all circuits, rounded down, but at least one.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small counts.
    pub(super) fn allowed(&self) -> u64 {
        let circuits = self.circuits.load(Ordering::Relaxed);
        ((circuits as f64 * self.share) as u64).max(1)
    }
}

impl EjectionSlot {
    /// Takes the slot; `false` at the limit.
    pub(super) fn take(&mut self) -> bool {
        let Some(ejections) = &self.ejections else { return true };
        if !self.taken {
            let allowed = ejections.allowed();
            self.taken = ejections
                .ejected
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ejected| {
                    (ejected < allowed).then_some(ejected + 1)
                })
                .is_ok();
        }
        self.taken
    }

    pub(super) fn release(&mut self) {
        if std::mem::take(&mut self.taken)
            && let Some(ejections) = &self.ejections
        {
            ejections.ejected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for EjectionSlot {
    fn drop(&mut self) {
        self.release();
        if let Some(ejections) = &self.ejections {
            ejections.circuits.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
