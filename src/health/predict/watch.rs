use std::time::Duration;

use super::outlook::{Anomaly, Forecast, Outlook, VitalSign};
use super::risk::Risk;
use super::settings::PredictSettings;
use super::track::{Track, millis};

/// What was measured of one sign at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::health) struct Measure {
    pub(in crate::health) sign: VitalSign,
    pub(in crate::health) value: f64,
    /// Where it becomes a reason of the score; infinite when it has none.
    pub(in crate::health) limit: f64,
    /// How many calls it was made of; what is made of few says little. 1 for what is no mean.
    pub(in crate::health) weight: f64,
}

/// A moment on all the clocks that matter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// Milliseconds since the start.
    pub(super) at: u64,
    /// The hour of the week, and the part of it that is over.
    pub(super) hour: u8,
    pub(super) part: f64,
}

/// A sign that was not measured for so many milliseconds says nothing about now.
const STALE: u64 = 120_000;

/// The signs of one component over time. It has no clock, no lock and no thread.
#[derive(Clone, Debug, Default)]
pub(in crate::health) struct Watch {
    moment: Moment,
    /// When the hour began, if that was seen.
    hour_began: Option<u64>,
    tracks: Vec<Track>,
}

impl Watch {
    /// Takes in what was measured `at`, since the start, in that hour of the week (0..168, from Monday, UTC).
    pub(in crate::health) fn update(
        &mut self,
        at: Duration,
        hour_of_week: u8,
        measures: &[Measure],
        settings: &PredictSettings,
    ) {
        if !settings.enabled {
            *self = Self::default();
            return;
        }
        self.advance(millis(at), hour_of_week);
        for measure in measures {
            let place =
                self.tracks.iter().position(|track| track.sign == measure.sign).unwrap_or_else(|| {
                    self.tracks.push(Track::new(measure.sign));
                    self.tracks.len() - 1
                });
            self.tracks[place].update(&self.moment, measure, settings);
        }
    }

    #[allow(clippy::cast_precision_loss)] // Within an hour.
    fn advance(&mut self, at: u64, hour: u8) {
        let gap = at.saturating_sub(self.moment.at);
        if hour != self.moment.hour {
            self.hour_began = (gap < STALE).then_some(at);
        }
        // In the middle as long as nobody knows.
        let part = self.hour_began.map_or(0.5, |began| at.saturating_sub(began) as f64 / 3_600_000.0);
        self.moment = Moment { at: at.max(self.moment.at), hour, part };
    }

    /// What follows from all of it. Dearer than an update: asked once a round.
    pub(in crate::health) fn outlook(&self, settings: &PredictSettings) -> Option<Outlook> {
        self.current().next()?;
        let learning = self.current().filter_map(|track| track.learning(settings)).min_by(f64::total_cmp);
        let anomalies: Vec<_> = self.anomalies().collect();
        let forecasts: Vec<_> = self.forecasts(settings).collect();
        let (risk, reasons) = Risk::of(&anomalies, &forecasts, settings);
        Some(Outlook { learning, risk, reasons, anomalies, forecasts })
    }

    pub(super) fn anomalies(&self) -> impl Iterator<Item = Anomaly> {
        self.current().filter_map(|track| track.anomaly(&self.moment))
    }

    pub(super) fn forecasts(&self, settings: &PredictSettings) -> impl Iterator<Item = Forecast> {
        self.current().filter_map(|track| track.forecast(settings))
    }

    /// The signs that are still measured.
    fn current(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| self.moment.at - track.last <= STALE)
    }

    /// The memory it takes beside itself.
    #[cfg(test)]
    pub(in crate::health) fn bytes(&self) -> usize {
        self.tracks.capacity() * size_of::<Track>()
            + self.tracks.iter().filter(|track| track.has_season()).count()
                * size_of::<super::season::Season>()
    }
}
