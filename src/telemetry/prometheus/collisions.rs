//! What collided, counted and told once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::telemetry::counters::{CollisionKind, Counters};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Collision {
    how: CollisionKind,
    scope: String,
    instrument: String,
    /// The name of the family or of the label.
    exposed: String,
}

impl Collision {
    pub(super) fn new(how: CollisionKind, scope: &str, instrument: &str, exposed: String) -> Self {
        Self { how, scope: scope.to_owned(), instrument: instrument.to_owned(), exposed }
    }
}

/// More of them are neither told nor counted: they are made by a program, not by what happens to it.
const REMEMBERED: usize = 1_000;

/// The collisions that were told.
#[derive(Debug)]
pub(super) struct Collisions {
    counters: Arc<Counters>,
    told: Mutex<HashSet<Collision>>,
}

impl Collisions {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.enable_collisions();
        Self { counters: Arc::clone(counters), told: Mutex::default() }
    }

    /// Takes in what collided in a scrape.
    pub(super) fn tell(&self, collisions: Vec<Collision>) {
        if collisions.is_empty() {
            return;
        }
        let new: Vec<Collision> = {
            let mut told = self.told.lock();
            let mut keep = |it: &Collision| told.len() < REMEMBERED && told.insert(it.clone());
            collisions.into_iter().filter(|it| keep(it)).collect()
        };
        for Collision { how, scope, instrument, exposed } in new {
            self.counters.collision(how);
            tracing::warn!(%scope, %instrument, %exposed, "{}", told(how));
        }
    }
}

fn told(how: CollisionKind) -> &'static str {
    match how {
        CollisionKind::Name => {
            "another instrument has the same name for Prometheus: this one is exposed under a longer name"
        }
        CollisionKind::Series => "series would be the same for Prometheus: a label tells them apart",
        CollisionKind::Label => {
            "an attribute has a reserved name for Prometheus, or the name of another: see its label"
        }
        CollisionKind::Description => {
            "instruments of one name have different descriptions: Prometheus gets the first"
        }
    }
}
