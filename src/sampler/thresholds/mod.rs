//! What figures of the machine say about its health.
//!
//! A figure is judged where it is read, at each reading, and not where somebody asks: how often a probe asks must
//! not decide how fast a warning comes. A limit that was reached is left only well below it, and after as many
//! readings as it took, so that a figure that moves about its limit does not come and go.

mod settings;
mod standing;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use self::settings::{Threshold, Thresholds};
use self::standing::{Standing, left_below};
use super::probe::Figure;
use crate::clock::Tick;
use crate::signal::{Level, MachineSign, Sign, Watched};

/// The figures of one source, and where they stand.
#[derive(Debug)]
pub(super) struct Watch {
    good_for: Duration,
    figures: Vec<Watching>,
}

#[derive(Debug)]
struct Watching {
    component: Cow<'static, str>,
    watched: Watched,
    which: Option<Arc<str>>,
    value: f64,
    /// With the device's own limits, where it has some.
    threshold: Threshold,
    standing: Standing,
    at: Tick,
}

impl Watch {
    pub(super) fn new(good_for: Duration) -> Self {
        Self { good_for, figures: Vec::new() }
    }

    /// Takes another reading into account. What has not been seen for too long is forgotten.
    pub(super) fn read(&mut self, figures: &[Figure], at: Tick, thresholds: &Thresholds) {
        for figure in figures.iter().filter(|figure| figure.value.is_finite()) {
            let Some(mut threshold) = thresholds.of(figure.watched) else { continue };
            if let Some((warn, critical)) = figure.own {
                (threshold.warn, threshold.critical) = (warn, critical);
            }
            let place = self.figures.iter().position(|known| known.is(figure)).unwrap_or_else(|| {
                self.figures.push(Watching::new(figure, threshold));
                self.figures.len() - 1
            });
            if let Some(known) = self.figures.get_mut(place) {
                (known.value, known.threshold, known.at) = (figure.value, threshold, at);
                known.standing.read(figure.value, &threshold);
            }
        }
        self.figures.retain(|figure| at.since(figure.at) <= self.good_for);
    }

    /// Tells where each figure stands that is not too old.
    pub(super) fn signs(&self, now: Tick, emit: &mut dyn FnMut(&str, Sign)) {
        for figure in self.figures.iter().filter(|figure| now.since(figure.at) <= self.good_for) {
            emit(&figure.component, Sign::Machine(figure.sign()));
        }
    }
}

impl Watching {
    fn new(figure: &Figure, threshold: Threshold) -> Self {
        Self {
            component: figure.component.clone(),
            watched: figure.watched,
            which: figure.which.clone(),
            value: figure.value,
            threshold,
            standing: Standing::NEW,
            at: Tick(0),
        }
    }

    fn is(&self, figure: &Figure) -> bool {
        self.watched == figure.watched && self.which == figure.which && self.component == figure.component
    }

    fn sign(&self) -> MachineSign {
        let level = self.standing.level;
        let limit = if level == Level::Critical { self.threshold.critical } else { self.threshold.warn };
        MachineSign {
            watched: self.watched,
            which: self.which.clone(),
            value: self.value,
            level,
            limit,
            left_below: left_below(limit, &self.threshold),
        }
    }
}
