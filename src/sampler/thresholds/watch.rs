//! Compares the figures of one source with their limits.

use std::time::Duration;

use super::level::{LevelTracker, clears_below};
use super::settings::{Threshold, Thresholds};
use crate::base::clock::Tick;
use crate::sampler::probe::Figure;
use crate::signal::{Level, MachineSign, Sign};

/// The figures of one source, with their levels.
#[derive(Debug)]
pub(in crate::sampler) struct Watch {
    good_for: Duration,
    figures: Vec<Watching>,
}

#[derive(Debug)]
struct Watching {
    /// The last reading.
    figure: Figure,
    /// The limits; those of the device, if it states any.
    threshold: Threshold,
    tracker: LevelTracker,
    at: Tick,
}

impl Watch {
    pub(in crate::sampler) fn new(good_for: Duration) -> Self {
        Self { good_for, figures: Vec::new() }
    }

    /// Takes a reading. Removes figures that have not been read for too long.
    pub(in crate::sampler) fn read(&mut self, figures: &[Figure], at: Tick, thresholds: &Thresholds) {
        // Usually in the order of the last reading.
        let mut next = 0;
        for figure in figures.iter().filter(|figure| figure.value.is_finite()) {
            let Some(mut threshold) = thresholds.of(figure.watched) else { continue };
            if let Some((warn, critical)) = figure.own {
                (threshold.warn, threshold.critical) = (warn, critical);
            }
            let expected = self.figures.get(next).filter(|known| known.is(figure)).map(|_| next);
            let known = || self.figures.iter().position(|known| known.is(figure));
            let place = expected.or_else(known).unwrap_or_else(|| {
                let (figure, tracker, at) = (figure.clone(), LevelTracker::NEW, at);
                self.figures.push(Watching { figure, threshold, tracker, at });
                self.figures.len() - 1
            });
            next = place + 1;
            if let Some(known) = self.figures.get_mut(place) {
                (known.figure.value, known.threshold, known.at) = (figure.value, threshold, at);
                known.tracker.read(figure.value, &threshold);
            }
        }
        self.figures.retain(|figure| at.since(figure.at) <= self.good_for);
    }

    /// Emits the level of each figure that is not too old.
    pub(in crate::sampler) fn signs(&self, now: Tick, emit: &mut dyn FnMut(&str, Sign)) {
        for figure in self.figures.iter().filter(|figure| now.since(figure.at) <= self.good_for) {
            emit(&figure.figure.component, Sign::Machine(figure.sign()));
        }
    }
}

impl Watching {
    fn is(&self, figure: &Figure) -> bool {
        let own = &self.figure;
        own.watched == figure.watched && own.which == figure.which && own.component == figure.component
    }

    fn sign(&self) -> MachineSign {
        let level = self.tracker.level;
        let limit = if level == Level::Critical { self.threshold.critical } else { self.threshold.warn };
        MachineSign {
            watched: self.figure.watched,
            which: self.figure.which.clone(),
            value: self.figure.value,
            level,
            limit,
            left_below: clears_below(limit, &self.threshold),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::signal::Watched;

    fn figure(component: &'static str, watched: Watched, which: Option<&str>, value: f64) -> Figure {
        Figure { component: component.into(), watched, which: which.map(Into::into), value, own: None }
    }

    fn levels(watch: &Watch, now: Tick) -> Vec<(String, Watched, Option<Arc<str>>, Level)> {
        let mut levels = Vec::new();
        watch.signs(now, &mut |component, sign| match sign {
            Sign::Machine(sign) => levels.push((component.to_owned(), sign.watched, sign.which, sign.level)),
            other => panic!("{other:?}"),
        });
        levels
    }

    #[test]
    fn each_figure_of_each_component_has_a_level_until_it_expires() {
        let every = Duration::from_secs(10);
        let mut watch = Watch::new(every * 3);
        let thresholds = Thresholds::default();
        let start = Tick(1_000_000_000_000);
        let root = figure("host", Watched::Disk, Some("/"), 0.5);
        let data = figure("host", Watched::Disk, Some("/data"), 0.96);
        let gone = figure("gpu/0", Watched::State, None, 2.0);
        let no_number = figure("gpu/1", Watched::State, None, f64::NAN);
        watch.read(&[root.clone(), data, gone, no_number], start, &thresholds);
        let fine = ("host".to_owned(), Watched::Disk, Some("/".into()), Level::Fine);
        let full = ("host".to_owned(), Watched::Disk, Some("/data".into()), Level::Critical);
        let failed = ("gpu/0".to_owned(), Watched::State, None, Level::Critical);
        assert_eq!(levels(&watch, start), [fine.clone(), full.clone(), failed]);

        // The device is gone. Its level expires when its values do.
        let data = figure("host", Watched::Disk, Some("/data"), 0.91);
        let good = start + every * 3;
        watch.read(&[root.clone(), data], good, &thresholds);
        assert_eq!(levels(&watch, good).len(), 3);
        watch.read(&[root], good + every, &thresholds);
        assert_eq!(levels(&watch, good + every), [fine, full]);
        // There are no more readings.
        assert_eq!(levels(&watch, good + every * 5), []);
    }

    #[test]
    fn a_figure_that_expired_starts_without_a_level() {
        let every = Duration::from_secs(10);
        let mut watch = Watch::new(every * 3);
        let thresholds = Thresholds::default();
        let start = Tick(1_000_000_000_000);
        let busy = figure("host", Watched::Cpu, None, 0.99);
        let level = |watch: &Watch, now| levels(watch, now).pop().map(|(.., level)| level);
        for reading in 0..3 {
            watch.read(std::slice::from_ref(&busy), start + every * reading, &thresholds);
        }
        assert_eq!(level(&watch, start + every * 2), Some(Level::Critical));
        // It would take three readings to clear, if the figure had not expired.
        watch.read(&[], start + every * 6, &thresholds);
        watch.read(&[Figure { value: 0.5, ..busy }], start + every * 7, &thresholds);
        assert_eq!(level(&watch, start + every * 7), Some(Level::Fine));
    }

    #[test]
    fn limits_of_the_device_replace_those_of_the_settings() {
        let every = Duration::from_secs(10);
        let mut watch = Watch::new(every * 3);
        let own = Figure { own: Some((60.0, 70.0)), ..figure("gpu/0", Watched::Temperature, None, 65.0) };
        let start = Tick(1_000_000_000_000);
        for reading in 0..2 {
            watch.read(std::slice::from_ref(&own), start + every * reading, &Thresholds::default());
        }
        let mut signs = Vec::new();
        watch.signs(start + every, &mut |_, sign| signs.push(sign));
        let [Sign::Machine(sign)] = signs.as_slice() else { panic!("{signs:?}") };
        assert_eq!((sign.level, sign.limit, sign.left_below), (Level::Warning, 60.0, 57.0));

        let off = Thresholds { temperature: None, ..Thresholds::default() };
        let mut watch = Watch::new(every * 3);
        watch.read(&[own], start, &off);
        assert_eq!(levels(&watch, start), []);
    }
}
