use std::time::Duration;

use super::measure::{Measure, Timestamp, millis};
use super::risk::Risk;
use super::settings::PredictSettings;
use super::track::Track;
use crate::health::outlook::{Anomaly, Forecast, Outlook};

/// A sign without a measure for this many milliseconds is ignored.
const STALE: u64 = 120_000;

/// Follows all vital signs of one component.
#[derive(Clone, Debug, Default)]
pub(in crate::health) struct Predictor {
    now: Timestamp,
    /// When the hour began, if there were measures around it.
    hour_began: Option<u64>,
    tracks: Vec<Track>,
}

impl Predictor {
    /// Adds the measures of a round: `at` after the first one, in an hour of the week (0..168, from Monday, UTC).
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
            let index =
                self.tracks.iter().position(|track| track.sign == measure.sign).unwrap_or_else(|| {
                    self.tracks.push(Track::new(measure.sign));
                    self.tracks.len() - 1
                });
            self.tracks[index].update(&self.now, measure, settings);
        }
    }

    #[allow(clippy::cast_precision_loss)] // Within an hour.
    fn advance(&mut self, at: u64, hour: u8) {
        let gap = at.saturating_sub(self.now.at);
        if hour != self.now.hour {
            self.hour_began = (gap < STALE).then_some(at);
        }
        // The middle of the hour if its beginning is unknown.
        let part = self.hour_began.map_or(0.5, |began| at.saturating_sub(began) as f64 / 3_600_000.0);
        self.now = Timestamp { at: at.max(self.now.at), hour, part };
    }

    /// The prediction. It costs more than an update, so it is called once a round.
    pub(in crate::health) fn outlook(&self, settings: &PredictSettings) -> Option<Outlook> {
        self.current().next()?;
        let learning = self.current().filter_map(|track| track.learning(settings)).min_by(f64::total_cmp);
        let anomalies: Vec<_> = self.anomalies().collect();
        let forecasts: Vec<_> = self.forecasts(settings).collect();
        let (risk, reasons) = Risk::of(&anomalies, &forecasts, settings);
        Some(Outlook { learning, risk, reasons, anomalies, forecasts })
    }

    pub(super) fn anomalies(&self) -> impl Iterator<Item = Anomaly> {
        self.current().filter_map(|track| track.anomaly(&self.now))
    }

    pub(super) fn forecasts(&self, settings: &PredictSettings) -> impl Iterator<Item = Forecast> {
        self.current().filter_map(|track| track.forecast(settings))
    }

    /// The signs with a recent measure.
    fn current(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| self.now.at - track.last <= STALE)
    }

    /// The heap memory in bytes.
    #[cfg(test)]
    pub(in crate::health) fn bytes(&self) -> usize {
        self.tracks.capacity() * size_of::<Track>()
            + self.tracks.iter().filter(|track| track.has_season()).count()
                * size_of::<super::season::Season>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::outlook::VitalSign;
    use proptest::prelude::*;

    const SIGNS: [VitalSign; 8] = [
        VitalSign::ErrorShare,
        VitalSign::MeanDuration,
        VitalSign::Rate,
        VitalSign::Letters,
        VitalSign::CpuUsage,
        VitalSign::MemoryUsage,
        VitalSign::DiskUsage,
        VitalSign::Temperature,
    ];

    /// A predictor with a round every ten seconds.
    #[derive(Default)]
    struct Simulation {
        predictor: Predictor,
        settings: PredictSettings,
        second: u64,
    }

    impl Simulation {
        fn rounds(&mut self, times: u32, measures: &[Measure]) -> Outlook {
            for _ in 0..times {
                self.second += 10;
                let hour = (self.second / 3_600 % 168) as u8;
                self.predictor.update(Duration::from_secs(self.second), hour, measures, &self.settings);
            }
            self.outlook()
        }

        fn outlook(&self) -> Outlook {
            self.predictor.outlook(&self.settings).unwrap()
        }
    }

    fn measure(sign: VitalSign, value: f64, weight: f64) -> Measure {
        let limit = match sign {
            VitalSign::ErrorShare => 0.1,
            VitalSign::MeanDuration => 5.0,
            VitalSign::Letters => 100.0,
            _ => f64::INFINITY,
        };
        Measure { sign, value, limit, weight, error: 0.0 }
    }

    #[test]
    fn memory_is_bounded() {
        let mut simulation = Simulation::default();
        let service = [VitalSign::ErrorShare, VitalSign::MeanDuration, VitalSign::Rate, VitalSign::Letters];
        let measures = service.map(|sign| measure(sign, 0.01, 100.0));
        simulation.rounds(100, &measures);
        let fresh = simulation.predictor.bytes();
        assert!(fresh <= 2_304, "{fresh} bytes");
        simulation.rounds(9_000, &measures);
        let grown = simulation.predictor.bytes();
        assert!(fresh < grown && grown <= 3_072, "{grown} bytes");
    }

    #[test]
    fn nothing_but_the_warm_up_is_reported_until_it_is_over() {
        let mut simulation = Simulation::default();
        let usual = measure(VitalSign::MeanDuration, 0.1, 600.0);
        assert_eq!(simulation.rounds(1, &[usual]).learning, Some(0.0));
        let half = simulation.rounds(30, &[usual]).learning;
        assert!(half.is_some_and(|part| (part - 0.5).abs() < 1e-3), "{half:?}");
        let outlook = simulation.rounds(20, &[measure(VitalSign::MeanDuration, 4.9, 600.0)]);
        assert_eq!((outlook.anomalies.len(), outlook.forecasts.len(), outlook.risk), (0, 0, 0.0));
        assert_eq!(simulation.rounds(30, &[usual]).learning, None);
        simulation.settings.enabled = false;
        simulation.predictor.update(
            Duration::from_secs(simulation.second + 10),
            0,
            &[usual],
            &simulation.settings,
        );
        assert_eq!(simulation.predictor.outlook(&simulation.settings), None);
    }

    #[test]
    fn one_failure_in_a_thousand_and_few_calls_make_no_anomaly() {
        for (calls, failed, odd) in
            [(1_000.0, 1.0, false), (1_000.0, 30.0, true), (60.0, 2.0, false), (5.0, 2.0, false)]
        {
            let mut simulation = Simulation::default();
            simulation.rounds(400, &[measure(VitalSign::ErrorShare, 0.0, calls)]);
            let outlook = simulation.rounds(12, &[measure(VitalSign::ErrorShare, failed / calls, calls)]);
            assert_eq!(!outlook.anomalies.is_empty(), odd, "{failed} of {calls}: {outlook:?}");
        }
    }

    #[test]
    fn one_slow_call_is_no_anomaly_and_a_slow_service_is() {
        let mut simulation = Simulation::default();
        let at = |value| [measure(VitalSign::MeanDuration, value, 600.0)];
        simulation.rounds(400, &at(0.1));
        // One of 600 calls took a minute: it doubles the mean for a minute.
        assert_eq!(simulation.rounds(6, &at(0.2)).anomalies, []);
        assert_eq!(simulation.rounds(60, &at(0.1)).anomalies, []);
        simulation.rounds(1, &at(0.15));
        let outlook = simulation.rounds(1, &at(0.2));
        let [anomaly] = &outlook.anomalies[..] else { panic!("{outlook:?}") };
        assert!((anomaly.usual - 0.1).abs() < 0.005 && anomaly.z > 5.0 && !anomaly.shifted, "{anomaly:?}");
        let [reason] = &outlook.reasons[..] else { panic!("{outlook:?}") };
        assert_eq!(reason.risk, outlook.risk);
        assert!(
            reason.text.starts_with("the mean duration of calls has been 200.0ms; usually it is 10"),
            "{reason:?}"
        );
        let lasting = simulation.rounds(60, &at(0.2));
        assert!(lasting.anomalies[0].shifted, "{lasting:?}");
        // A lasting change counts as usual after an hour.
        assert_eq!(simulation.rounds(330, &at(0.2)).anomalies, []);
        assert_eq!(simulation.rounds(100, &at(0.2)).risk, 0.0);
    }

    #[test]
    fn improvements_are_no_risk_and_missing_calls_are_a_small_one() {
        let mut simulation = Simulation::default();
        let at =
            |rate, share| [measure(VitalSign::Rate, rate, 1.0), measure(VitalSign::ErrorShare, share, 600.0)];
        simulation.rounds(400, &at(10.0, 0.05));
        simulation.rounds(1, &at(20.0, 0.02));
        let better = simulation.rounds(1, &at(40.0, 0.0));
        assert_eq!((better.anomalies.len(), better.risk), (2, 0.0), "{better:?}");
        let mut simulation = Simulation::default();
        simulation.rounds(400, &at(10.0, 0.0));
        simulation.rounds(1, &at(5.0, 0.0));
        let no_calls = simulation.rounds(1, &[measure(VitalSign::Rate, 0.0, 1.0)]);
        assert_eq!(no_calls.anomalies[0].value, 0.0);
        assert!(no_calls.risk > 0.0 && no_calls.risk <= 0.2, "{no_calls:?}");
    }

    #[test]
    fn a_sign_without_measures_is_ignored_and_a_gap_is_no_trend() {
        let mut simulation = Simulation::default();
        for letters in 0..400 {
            simulation.rounds(1, &[measure(VitalSign::Letters, f64::from(letters) / 8.0, 1.0)]);
        }
        let growing = simulation.outlook();
        let [forecast] = &growing.forecasts[..] else { panic!("{growing:?}") };
        assert!((forecast.per_minute - 0.75).abs() < 0.01, "{forecast:?}");
        assert!(forecast.reaches_limit_in.abs_diff(Duration::from_secs(4_010)) < Duration::from_secs(30));
        assert!(growing.risk > 0.0 && forecast.confidence > 0.99);
        assert_eq!(growing.reasons.iter().map(|reason| reason.risk).sum::<f64>(), growing.risk);
        let other = [measure(VitalSign::Rate, 1.0, 1.0)];
        assert_eq!(simulation.rounds(20, &other).forecasts, []);
        simulation.second += 8 * 3_600;
        assert_eq!(simulation.rounds(10, &[measure(VitalSign::Letters, 60.0, 1.0)]).forecasts, []);
    }

    prop_compose! {
        fn anything()(
            sign in prop::sample::select(&SIGNS[..]),
            value in prop_oneof![4 => 0.0_f64..10.0, 2 => 0.0_f64..1e12, 1 => prop::num::f64::ANY],
            limit in prop_oneof![4 => 0.0_f64..100.0, 1 => prop::num::f64::ANY],
            weight in prop_oneof![4 => 0.0_f64..1e4, 1 => prop::num::f64::ANY],
            error in prop_oneof![4 => 0.0_f64..10.0, 1 => prop::num::f64::ANY],
            steps in prop_oneof![4 => 1_u64..60_000, 1 => 0..u64::MAX / 1_000_000],
            times in 1_u32..60,
        ) -> (Measure, u64, u32) {
            (Measure { sign, value, limit, weight, error }, steps, times)
        }
    }

    proptest! {
        #[test]
        fn reasons_add_up_to_the_risk_whatever_is_measured(all in prop::collection::vec(anything(), 1..40)) {
            let settings = PredictSettings { warm_up: Duration::from_secs(60), ..PredictSettings::default() };
            let mut predictor = Predictor::default();
            let mut at = 0_u64;
            for (measure, step, times) in all {
                for _ in 0..times {
                    at = at.saturating_add(step);
                    predictor.update(Duration::from_millis(at), (at / 3_600_000 % 168) as u8, &[measure], &settings);
                }
                let Some(outlook) = predictor.outlook(&settings) else { continue };
                prop_assert!((0.0..=1.0).contains(&outlook.risk));
                let sum: f64 = outlook.reasons.iter().map(|reason| reason.risk).sum();
                prop_assert_eq!(sum, outlook.risk);
                for anomaly in &outlook.anomalies {
                    prop_assert!(anomaly.z.is_finite() && anomaly.usual.is_finite() && anomaly.value.is_finite());
                }
                for forecast in &outlook.forecasts {
                    prop_assert!(forecast.per_minute > 0.0 && (0.5..=1.0).contains(&forecast.confidence));
                }
                prop_assert!(outlook.learning.is_none_or(|part| (0.0..1.0).contains(&part)));
            }
        }
    }
}
