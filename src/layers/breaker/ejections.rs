//! The limit of circuits of a keyed breaker that are open at once.
//!
//! When most upstreams fail at once, the fault is rarely theirs: it is the network's or our own. Opening all circuits would
//! then make it worse. The rule is Envoy's `max_ejection_percent`.

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

/// A circuit's place among the open ones, held while it is open or half-open.
#[derive(Debug, Default)]
pub(super) struct Place {
    among: Option<Arc<Ejections>>,
    held: bool,
}

impl Ejections {
    pub(super) fn new(share: f64) -> Arc<Self> {
        Arc::new(Self { share, circuits: AtomicU64::new(0), ejected: AtomicU64::new(0) })
    }

    /// A place for another circuit.
    pub(super) fn place(self: &Arc<Self>) -> Place {
        self.circuits.fetch_add(1, Ordering::Relaxed);
        Place { among: Some(Arc::clone(self)), held: false }
    }

    /// The circuits that are open or half-open.
    pub(super) fn ejected(&self) -> u64 {
        self.ejected.load(Ordering::Relaxed)
    }

    /// The share of all circuits, rounded down, but at least one.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Small counts.
    pub(super) fn allowed(&self) -> u64 {
        let circuits = self.circuits.load(Ordering::Relaxed);
        ((circuits as f64 * self.share) as u64).max(1)
    }
}

impl Place {
    /// Takes the place; `false` at the limit.
    pub(super) fn take(&mut self) -> bool {
        let Some(among) = &self.among else { return true };
        if !self.held {
            let allowed = among.allowed();
            self.held = among
                .ejected
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ejected| {
                    (ejected < allowed).then_some(ejected + 1)
                })
                .is_ok();
        }
        self.held
    }

    pub(super) fn give_back(&mut self) {
        if std::mem::take(&mut self.held)
            && let Some(among) = &self.among
        {
            among.ejected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
        if let Some(among) = &self.among {
            among.circuits.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
