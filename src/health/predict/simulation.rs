//! How soon trouble is seen and how often there is none: a simulation whose figures stand in `figures.md`.
//!
//! Calls come as a Poisson process, fail by chance and take lognormal times. What is measured of them is what health measures: the
//! share of failures and the mean duration of the last minute, every ten seconds. The generator is our own, so that the
//! figures are the same everywhere and for ever.

use std::time::Duration;

use super::outlook::{Outlook, VitalSign};
use super::scale::Scale;
use super::settings::PredictSettings;
use super::watch::{Measure, Watch};

const ROUND: u64 = 10;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 30 * DAY;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// More than 0, at most 1.
    fn uniform(&mut self) -> f64 {
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

    /// How long so many calls took together, each with a lognormal duration of that mean: of many, the lognormal
    /// distribution with the same mean and variance.
    fn durations(&mut self, calls: f64, mean: f64, sigma: f64) -> f64 {
        if calls == 0.0 {
            return 0.0;
        }
        let variance = ((sigma * sigma).exp_m1() / calls).ln_1p();
        calls * mean * (self.normal() * variance.sqrt() - variance / 2.0).exp()
    }
}

/// What a component is made to do.
#[derive(Clone, Copy)]
struct Load {
    /// Calls in a second.
    rate: f64,
    /// Mean duration in seconds, and the spread of its logarithm.
    mean: f64,
    sigma: f64,
    /// The part that fails.
    errors: f64,
    /// Letters that wait.
    letters: f64,
    /// The share of the memory in use, noise left out.
    memory: f64,
}

const QUIET: Load = Load { rate: 10.0, mean: 0.05, sigma: 1.0, errors: 0.005, letters: 3.0, memory: 0.5 };

struct World {
    random: Random,
    watch: Watch,
    settings: PredictSettings,
    /// Calls, failures and seconds of the last minute.
    bins: [[f64; 3]; 6],
}

impl World {
    fn new(seed: u64) -> Self {
        let settings = PredictSettings::default();
        Self { random: Random(seed), watch: Watch::default(), settings, bins: [[0.0; 3]; 6] }
    }

    fn round(&mut self, second: u64, load: Load) {
        let random = &mut self.random;
        let calls = random.poisson(load.rate * ROUND as f64);
        let failed = random.poisson(calls * load.errors).min(calls);
        let took = random.durations(calls, load.mean, load.sigma);
        self.bins[(second / ROUND % 6) as usize] = [calls, failed, took];
        let [calls, failed, took] =
            self.bins.iter().fold([0.0; 3], |sum, bin| std::array::from_fn(|place| sum[place] + bin[place]));
        let memory = (load.memory + 0.01 * random.normal()).clamp(0.0, 1.0);
        let measure = |sign, value, limit, weight| Measure { sign, value, limit, weight };
        let measures = [
            measure(VitalSign::Rate, calls / 60.0, f64::INFINITY, 1.0),
            measure(VitalSign::Letters, load.letters.floor(), 100.0, 1.0),
            measure(VitalSign::MemoryUsage, memory, 0.9, 1.0),
            measure(VitalSign::ErrorShare, failed / calls, 0.1, calls),
            measure(VitalSign::MeanDuration, took / calls, 5.0, calls),
        ];
        let hour = (second / HOUR % 168) as u8;
        self.watch.update(Duration::from_secs(second), hour, &measures, &self.settings);
    }

    fn outlook(&self) -> Outlook {
        self.watch.outlook(&self.settings).unwrap()
    }

    /// Whether something is unusual for the worse.
    fn alarmed(&self) -> bool {
        self.watch.anomalies().any(|anomaly| anomaly.z * Scale::of(anomaly.sign).worse > 0.0)
    }

    fn foresees(&self) -> bool {
        self.watch.forecasts(&self.settings).next().is_some()
    }
}

/// How often something begins to be unusual for the worse, or to be foreseen, in a day, from a second until another.
fn false_alarms(
    seeds: std::ops::Range<u64>,
    (from, until): (u64, u64),
    load: impl Fn(u64) -> Load,
) -> [f64; 2] {
    let days = (seeds.end - seeds.start) as f64 * (until - from) as f64 / DAY as f64;
    let mut found = [0.0; 2];
    for seed in seeds {
        let (mut world, mut before) = (World::new(seed), [false; 2]);
        for second in (0..until).step_by(ROUND as usize) {
            world.round(second, load(second));
            let now = [
                world.alarmed(),
                // The points of trends are a minute apart.
                if second % 300 == 0 { world.foresees() } else { before[1] },
            ];
            for place in 0..2 {
                if now[place] && !before[place] && second >= from {
                    found[place] += 1.0;
                }
            }
            before = now;
        }
    }
    found.map(|found| found / days)
}

/// After how many seconds something is so, from two hours on, half of the times and 19 of 20 times; and how often it is.
fn delays(times: u64, most: u64, load: impl Fn(u64) -> Load, seen: impl Fn(&World) -> bool) -> [f64; 3] {
    let start = 2 * HOUR;
    let mut delays: Vec<f64> = (0..times)
        .map(|seed| {
            let mut world = World::new(1_000 + seed);
            for second in (0..start + most).step_by(ROUND as usize) {
                // Something happens between two looks, not at one.
                world.round(
                    second,
                    if second >= start { load(second - start) } else { QUIET_BEFORE.with(|l| l.get()) },
                );
                if second >= start && seen(&world) {
                    return (second - start + ROUND) as f64;
                }
            }
            f64::INFINITY
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    let seen = delays.iter().filter(|delay| delay.is_finite()).count() as f64;
    let at = |share: f64| delays[((delays.len() as f64 * share) as usize).min(delays.len() - 1)];
    [at(0.5), at(0.95), seen / times as f64]
}

thread_local! { static QUIET_BEFORE: std::cell::Cell<Load> = const { std::cell::Cell::new(QUIET) }; }

#[test]
fn explore() {
    let t = std::time::Instant::now();
    for (rate, sigma, errors) in [(1.0, 1.0, 0.01), (10.0, 1.0, 0.005), (100.0, 0.7, 0.001), (0.1, 1.0, 0.01)]
    {
        let load = Load { rate, sigma, errors, ..QUIET };
        let f = false_alarms(0..20, (0, MONTH), |_| load);
        println!("noise {rate}/s: {:.4} {:.4} a month", f[0] * 30.0, f[1] * 30.0);
        QUIET_BEFORE.with(|l| l.set(load));
        // sd of the minute mean in ln
        let sd = ((sigma * sigma as f64).exp_m1() / (60.0 * rate)).sqrt();
        for k in [2.0, 5.0, 8.0] {
            let d = delays(
                200,
                2 * HOUR,
                |_| Load { mean: 0.05 * (k * sd as f64).exp(), ..load },
                World::alarmed,
            );
            println!("  step {k} sd (x{:.2}): {d:?}", (k * sd).exp());
        }
        println!("  twice as slow: {:?}", delays(200, HOUR, |_| Load { mean: 0.1, ..load }, World::alarmed));
        println!("  30 % slow: {:?}", delays(200, HOUR, |_| Load { mean: 0.065, ..load }, World::alarmed));
        println!("  errors 5 %: {:?}", delays(200, HOUR, |_| Load { errors: 0.05, ..load }, World::alarmed));
        println!("  errors 20 %: {:?}", delays(200, HOUR, |_| Load { errors: 0.2, ..load }, World::alarmed));
        println!("  all fail: {:?}", delays(200, HOUR, |_| Load { errors: 1.0, ..load }, World::alarmed));
        println!("  no calls: {:?}", delays(200, HOUR, |_| Load { rate: 0.0, ..load }, World::alarmed));
        println!("{:?}", t.elapsed());
    }
    QUIET_BEFORE.with(|l| l.set(QUIET));
    println!(
        "letters 6/min: {:?}",
        delays(50, HOUR, |s| Load { letters: 3.0 + s as f64 / 10.0, ..QUIET }, World::foresees)
    );
    println!(
        "letters 1/min: {:?}",
        delays(50, 2 * HOUR, |s| Load { letters: 3.0 + s as f64 / 60.0, ..QUIET }, World::foresees)
    );
    println!(
        "memory .5 to .9 in 4 h: {:?}",
        delays(
            50,
            4 * HOUR,
            |s| Load { memory: 0.5 + 0.4 * s as f64 / (4.0 * HOUR as f64), ..QUIET },
            World::foresees
        )
    );
    println!(
        "memory .5 to .9 in 24 h: {:?}",
        delays(
            50,
            24 * HOUR,
            |s| Load { memory: 0.5 + 0.4 * s as f64 / (24.0 * HOUR as f64), ..QUIET },
            World::foresees
        )
    );
    println!(
        "slow to 5 s in 1 h: {:?}",
        delays(
            50,
            4 * HOUR,
            |s| Load { mean: 0.05 + 5.0 * s as f64 / (1.0 * HOUR as f64), ..QUIET },
            World::foresees
        )
    );
    println!("{:?}", t.elapsed());
    let day = |s: u64| (std::f64::consts::TAU * (s % DAY) as f64 / DAY as f64).sin();
    for (w, a, b) in [("first 2 weeks", 0, 15 * DAY), ("after", 15 * DAY, 30 * DAY)] {
        let f = false_alarms(0..4, (a, b), |s| Load {
            rate: 10.0 * (0.7 * day(s)).exp(),
            mean: 0.05 * (0.25 * day(s)).exp(),
            ..QUIET
        });
        println!("smooth season {w}: {:.3} {:.3} a day", f[0], f[1]);
        let f = false_alarms(0..4, (a, b), |s| {
            let busy = (9..18).contains(&(s % DAY / HOUR)) && s / DAY % 7 < 5;
            if busy { Load { rate: 40.0, mean: 0.09, ..QUIET } } else { QUIET }
        });
        println!("sharp season {w}: {:.3} {:.3} a day", f[0], f[1]);
    }
    println!("{:?}", t.elapsed());
}
#[test]
fn ramps() {
    let near = Load { memory: 0.87, errors: 0.07, mean: 4.0, sigma: 1.0, letters: 90.0, ..QUIET };
    let f = false_alarms(0..10, (0, MONTH), |_| near);
    println!("near limits {:.3} {:.3} a month", f[0] * 30.0, f[1] * 30.0);
    QUIET_BEFORE.with(|l| l.set(QUIET));
    println!(
        "letters 6/min: {:?}",
        delays(50, HOUR, |s| Load { letters: 3.0 + s as f64 / 10.0, ..QUIET }, World::foresees)
    );
    println!(
        "letters 1/min: {:?}",
        delays(50, 2 * HOUR, |s| Load { letters: 3.0 + s as f64 / 60.0, ..QUIET }, World::foresees)
    );
    for h in [1, 4, 24] {
        println!(
            "memory .5 to .9 in {h} h: {:?}",
            delays(
                50,
                h * HOUR,
                |s| Load { memory: 0.5 + 0.4 * s as f64 / ((h * HOUR) as f64), ..QUIET },
                World::foresees
            )
        );
        println!(
            "slow to 5 s in {h} h: {:?}",
            delays(
                50,
                h * HOUR,
                |s| Load { mean: 0.05 + 5.0 * s as f64 / ((h * HOUR) as f64), ..QUIET },
                World::foresees
            )
        );
        println!(
            "errors to 10% in {h} h: {:?}",
            delays(
                50,
                h * HOUR,
                |s| Load { errors: 0.005 + 0.1 * s as f64 / ((h * HOUR) as f64), ..QUIET },
                World::foresees
            )
        );
    }
}
