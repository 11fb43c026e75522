//! A simulated component, and the predictor that follows it.

use std::time::Duration;

use crate::health::outlook::{Anomaly, VitalSign};
use crate::health::predict::measure::Measure;
use crate::health::predict::predictor::Predictor;
use crate::health::predict::scale::Scale;
use crate::health::predict::settings::PredictSettings;

pub(super) const ROUND: u64 = 10;
pub(super) const HOUR: u64 = 3_600;
pub(super) const DAY: u64 = 24 * HOUR;

/// `SplitMix64`.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// More than 0, at most 1.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (end, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > end {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }

    /// The sum and the sum of squares of the durations of about `calls` calls of the tail.
    fn tail(&mut self, calls: f64, mean: f64) -> (f64, f64) {
        let calls = if calls > 0.0 { self.poisson(calls) as u32 } else { 0 };
        (0..calls).fold((0.0, 0.0), |(sum, squares), _| {
            let took = mean * (5.0 / self.uniform().sqrt()).min(200.0);
            (sum + took, squares + took * took)
        })
    }

    /// The sum of the durations of `calls` calls, which are lognormal with mean `mean`. The sum is drawn from the lognormal
    /// distribution of the same mean and variance.
    fn durations(&mut self, calls: f64, mean: f64, sigma: f64) -> f64 {
        if calls == 0.0 {
            return 0.0;
        }
        let variance = ((sigma * sigma).exp_m1() / calls).ln_1p();
        calls * mean * (self.normal() * variance.sqrt() - variance / 2.0).exp()
    }
}

/// The load of a component.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// Calls per second.
    pub(super) rate: f64,
    /// The mean duration in seconds, and the standard deviation of its logarithm.
    pub(super) mean: f64,
    pub(super) sigma: f64,
    /// The share of calls that fail.
    pub(super) errors: f64,
    /// Waiting dead letters.
    pub(super) letters: f64,
    /// The share of the memory in use, before noise.
    pub(super) memory: f64,
    /// The noise that all calls of a time share: the standard deviation of the logarithms of rate and mean duration, which
    /// are independent, and for how many minutes the noise lasts.
    pub(super) sway: f64,
    pub(super) lasts: f64,
    /// The share of calls that take 5 to 200 times as long (a Pareto distribution).
    pub(super) tail: f64,
}

pub(super) const QUIET: Load = Load {
    rate: 10.0,
    mean: 0.05,
    sigma: 1.0,
    errors: 0.005,
    letters: 3.0,
    memory: 0.5,
    sway: 0.0,
    lasts: 10.0,
    tail: 0.0,
};

#[derive(Clone)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) predictor: Predictor,
    settings: PredictSettings,
    pub(super) second: u64,
    /// Calls, failures, seconds and square seconds of the last minute.
    bins: [[f64; 4]; 6],
    /// The current shared noise of rate and duration, with a standard deviation of 1.
    sway: [f64; 2],
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            predictor: Predictor::default(),
            settings: PredictSettings::default(),
            second: 0,
            bins: [[0.0; 4]; 6],
            sway: [0.0; 2],
        }
    }

    pub(super) fn round(&mut self, load: Load) {
        let load = self.swayed(load);
        let random = &mut self.random;
        let calls = random.poisson(load.rate * ROUND as f64);
        let failed = random.poisson(calls * load.errors).min(calls);
        let body = random.durations(calls, load.mean, load.sigma);
        let (tail, of_tail) = random.tail(calls * load.tail, load.mean);
        let (took, squares) = (body + tail, body * load.mean * (load.sigma * load.sigma).exp() + of_tail);
        self.second += ROUND;
        self.bins[(self.second / ROUND % 6) as usize] = [calls, failed, took, squares];
        let [calls, failed, took, squares] =
            self.bins.iter().fold([0.0; 4], |sum, bin| std::array::from_fn(|index| sum[index] + bin[index]));
        let memory = (load.memory + 0.01 * random.normal()).clamp(0.0, 1.0);
        let error =
            (squares / calls - (took / calls).powi(2)).max(0.0).sqrt() / (calls - 1.0).max(1.0).sqrt();
        let measure = |sign, value, limit, weight| Measure {
            sign,
            value,
            limit,
            weight,
            error: if sign == VitalSign::MeanDuration { error } else { 0.0 },
        };
        let measures = [
            measure(VitalSign::Rate, calls / 60.0, f64::INFINITY, 1.0),
            measure(VitalSign::Letters, load.letters.floor(), 100.0, 1.0),
            measure(VitalSign::MemoryUsage, memory, 0.9, 1.0),
            measure(VitalSign::ErrorShare, failed / calls, 0.1, calls),
            measure(VitalSign::MeanDuration, took / calls, 5.0, calls),
        ];
        let hour = (self.second / HOUR % 168) as u8;
        self.predictor.update(Duration::from_secs(self.second), hour, &measures, &self.settings);
    }

    /// The load with the current shared noise. Without noise nothing is drawn, so that other figures stay the same.
    fn swayed(&mut self, load: Load) -> Load {
        if load.sway == 0.0 {
            return load;
        }
        let keeps = (-(ROUND as f64) / 60.0 / load.lasts).exp();
        let random = &mut self.random;
        self.sway = self.sway.map(|sway| keeps * sway + (1.0 - keeps * keeps).sqrt() * random.normal());
        let [rate, mean] = self.sway.map(|sway| (load.sway * sway).exp());
        Load { rate: load.rate * rate, mean: load.mean * mean, ..load }
    }

    /// The signs that are unusual in the worse direction.
    pub(super) fn alarms(&self) -> Vec<VitalSign> {
        let worse = |anomaly: &Anomaly| anomaly.z * Scale::of(anomaly.sign).worse > 0.0;
        self.predictor.anomalies().filter(worse).map(|anomaly| anomaly.sign).collect()
    }

    /// Whether any sign is unusual in the worse direction.
    pub(super) fn alarmed(&self) -> bool {
        !self.alarms().is_empty()
    }

    /// Whether a limit is forecast. Points of trends are a minute apart.
    pub(super) fn foresees(&self) -> bool {
        self.second.is_multiple_of(60) && self.predictor.forecasts(&self.settings).next().is_some()
    }
}
