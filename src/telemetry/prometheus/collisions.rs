//! Collisions of names, series and labels. Each is counted and logged once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::telemetry::counters::{CollisionKind, Counters};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Collision {
    kind: CollisionKind,
    scope: String,
    instrument: String,
    /// The name of the family or of the label.
    exposed: String,
}

impl Collision {
    pub(super) fn new(kind: CollisionKind, scope: &str, instrument: &str, exposed: String) -> Self {
        Self { kind, scope: scope.to_owned(), instrument: instrument.to_owned(), exposed }
    }
}

/// Upper bound of the collisions that are remembered. Further ones are neither logged nor counted.
const MAX_COLLISIONS: usize = 1_000;

/// The collisions that were logged.
#[derive(Debug)]
pub(super) struct Collisions {
    counters: Arc<Counters>,
    known: Mutex<HashSet<Collision>>,
}

impl Collisions {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.enable_collisions();
        Self { counters: Arc::clone(counters), known: Mutex::default() }
    }

    /// Logs and counts the collisions of a scrape that are new.
    pub(super) fn report(&self, collisions: Vec<Collision>) {
        if collisions.is_empty() {
            return;
        }
        let new: Vec<Collision> = {
            let mut known = self.known.lock();
            let mut keep = |it: &Collision| known.len() < MAX_COLLISIONS && known.insert(it.clone());
            collisions.into_iter().filter(|it| keep(it)).collect()
        };
        for Collision { kind, scope, instrument, exposed } in new {
            self.counters.collision(kind);
            tracing::warn!(%scope, %instrument, %exposed, "{}", message(kind));
        }
    }
}

/// The text of the warning.
fn message(kind: CollisionKind) -> &'static str {
    match kind {
        CollisionKind::Name => {
            "two instruments have the same name in Prometheus: this one is exposed under the longer name `exposed`"
        }
        CollisionKind::Series => {
            "series of an instrument have the same labels in Prometheus: the label `exposed` distinguishes them"
        }
        CollisionKind::Label => {
            "an attribute has a reserved name in Prometheus, or the same name as another: its label is `exposed`"
        }
        CollisionKind::Description => {
            "instruments of one name have different descriptions: Prometheus gets the first of them"
        }
    }
}
