//! The cost of a measure of a vital sign, and of a prediction. Prediction is private, so its source is included here; this
//! way nothing else is measured.

#![allow(clippy::cast_precision_loss)]

#[path = "../../src/base/macros.rs"]
#[allow(unused_macros)]
#[macro_use]
mod macros;

#[path = "../../src/health/predict/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub)]
mod predict;

#[path = "../../src/health/outlook.rs"]
#[allow(dead_code, unreachable_pub)]
mod outlook;

#[path = "../../src/health/points.rs"]
#[allow(dead_code, unused_imports)]
mod points;

use std::hint::black_box;
use std::time::Duration;

use self::outlook::VitalSign;
use self::predict::{Measure, PredictSettings, Predictor};
use crate::figures::{counted, each, median, row};

/// Rounds every ten seconds, each with a new random number.
struct Simulation {
    predictor: Predictor,
    settings: PredictSettings,
    at: Duration,
    state: u64,
    /// Growth of the queue per step.
    grown: f64,
}

const SIGNS: f64 = 4.0;

impl Simulation {
    fn new(grown: f64) -> Self {
        let settings = PredictSettings::default();
        let mut simulation =
            Self { predictor: Predictor::default(), settings, at: Duration::ZERO, state: 1, grown };
        // Three weeks: the season is known.
        (0..3 * 7 * 24 * 360).for_each(|_| simulation.round());
        simulation
    }

    fn round(&mut self) {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (self.state >> 40) as f64 / (1_u64 << 24) as f64;
        self.at += Duration::from_secs(10);
        let seconds = self.at.as_secs();
        let sign = |sign, value, limit, weight| Measure { sign, value, limit, weight, error: 0.0 };
        let measures = [
            sign(VitalSign::Rate, 10.0 + draw, f64::INFINITY, 1.0),
            sign(VitalSign::ErrorShare, 0.001 * draw, 0.1, 600.0),
            sign(VitalSign::MeanDuration, 0.05 + 0.003 * draw, 5.0, 600.0),
            sign(VitalSign::Letters, self.grown * seconds as f64, 1e9, 1.0),
        ];
        let hour = u8::try_from(seconds / 3_600 % 168).unwrap_or_default();
        self.predictor.update(self.at, hour, black_box(&measures), &self.settings);
    }
}

pub(crate) fn run(long: bool) {
    let (rounds, runs) = if long { (200, 2_000) } else { (1, 10) };
    let mut quiet = Simulation::new(0.0);
    let update = median(rounds, || each(runs, || quiet.round())) / SIGNS;
    let ((), allocations, _) = counted(|| (0..10_000).for_each(|_| quiet.round()));
    row("taking in a vital sign: trend, shift, anomaly, season", &format!("{update:.1} ns"), "<= 50 ns");
    row("allocations of 40,000 signs taken in", &allocations.to_string(), "0");
    let tell = |simulation: &Simulation| {
        median(rounds, || {
            each(runs / 10, || drop(black_box(simulation.predictor.outlook(&simulation.settings))))
        })
    };
    row("what follows, once a round, of four signs", &format!("{:.0} ns", tell(&quiet)), "");
    row("the same when one of them grows", &format!("{:.0} ns", tell(&Simulation::new(0.01))), "");
}
