//! What collided, counted and told once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::telemetry::counters::Counters;

/// What was the same for Prometheus, and is not the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::telemetry) enum Collided {
    /// The names of families.
    Name,
    /// Series: a label tells them apart.
    Series,
    /// The labels of one series, or a label and one that has a meaning of its own.
    Label,
    /// Descriptions of one family.
    Description,
}

impl Collided {
    /// All of them, in the order of the counters.
    pub(in crate::telemetry) const ALL: [Self; 4] =
        [Self::Name, Self::Series, Self::Label, Self::Description];

    pub(in crate::telemetry) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Series => "series",
            Self::Label => "label",
            Self::Description => "description",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Name => {
                "another instrument has the same name for Prometheus: this one is exposed under a longer name"
            }
            Self::Series => "series would be the same for Prometheus: a label tells them apart",
            Self::Label => {
                "an attribute has a reserved name for Prometheus, or the name of another: see its label"
            }
            Self::Description => {
                "instruments of one name have different descriptions: Prometheus gets the first"
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Collision {
    how: Collided,
    scope: String,
    instrument: String,
    /// The name of the family or of the label.
    exposed: String,
}

impl Collision {
    pub(super) fn new(how: Collided, scope: &str, instrument: &str, exposed: String) -> Self {
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
        counters.expect_collisions();
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
            self.counters.collided(how);
            tracing::warn!(%scope, %instrument, %exposed, "{}", how.told());
        }
    }
}
