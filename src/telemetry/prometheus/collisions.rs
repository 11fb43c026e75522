//! Collisions of names, series and labels. Each is counted and logged once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::telemetry::counters::Counters;

/// What is different in OpenTelemetry and the same in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::telemetry) enum CollisionKind {
    /// The names of two families.
    Name,
    /// The labels of two series.
    Series,
    /// Two labels of one series, or a label and a reserved one.
    Label,
    /// Two descriptions of one family.
    Description,
}

impl CollisionKind {
    /// All kinds, in the order of the counters.
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

    /// The text of the warning.
    fn message(self) -> &'static str {
        match self {
            Self::Name => {
                "two instruments have the same name in Prometheus: this one is exposed under the longer name `exposed`"
            }
            Self::Series => {
                "series of an instrument have the same labels in Prometheus: the label `exposed` tells them apart"
            }
            Self::Label => {
                "an attribute has a reserved name in Prometheus, or the same name as another: its label is `exposed`"
            }
            Self::Description => {
                "instruments of one name have different descriptions: Prometheus gets the first of them"
            }
        }
    }
}

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
        counters.expect_collisions();
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
            self.counters.collided(kind);
            tracing::warn!(%scope, %instrument, %exposed, "{}", kind.message());
        }
    }
}
