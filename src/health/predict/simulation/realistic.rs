//! Realistic days: traffic that rises and falls, noise that all calls of a time share, and a few very long calls.
//!
//! `CAMPANILE_TEST_LONG=1 cargo test --features predict --lib realistic -- --nocapture` runs more seeds and prints their
//! figures.

use std::collections::BTreeMap;

use super::delays_from;
use super::world::{DAY, HOUR, Load, QUIET, ROUND, World};
use crate::health::outlook::VitalSign;

/// The number of seeds in a usual and in a long run.
fn seeds(usual: u64, long: u64) -> u64 {
    if std::env::var_os("CAMPANILE_TEST_LONG").is_some() { long } else { usual }
}

/// A day with `rate` calls per second on average, and ten times as many at its peak as at its lowest.
fn day(rate: f64, second: u64) -> Load {
    let wave = (std::f64::consts::TAU * second as f64 / DAY as f64).sin();
    let (rate, mean) = (rate * (1.15 * wave).exp(), 0.05 * (0.2 * wave).exp());
    Load { rate, mean, sway: 0.1, tail: 0.005, errors: 0.005, ..QUIET }
}

/// Alarms per day, by sign, and forecasts per day.
fn alarms(seeds: u64, days: u64, load: impl Fn(u64) -> Load) -> (f64, BTreeMap<&'static str, f64>) {
    let mut found = BTreeMap::new();
    for seed in 0..seeds {
        let (mut world, mut before) = (World::new(7_000 + seed), Vec::new());
        while world.second < days * DAY {
            world.round(load(world.second));
            let mut now: Vec<_> = world.alarms().iter().map(|sign| sign.as_str()).collect();
            let foresees = if world.second.is_multiple_of(300) {
                world.foresees()
            } else {
                before.contains(&"foreseen")
            };
            now.extend(foresees.then_some("foreseen"));
            for what in now.iter().filter(|what| !before.contains(*what)) {
                *found.entry(*what).or_insert(0.0) += 1.0;
            }
            before = now;
        }
    }
    found.values_mut().for_each(|found| *found /= (days * seeds) as f64);
    (found.values().sum(), found)
}

#[test]
fn realistic_days_raise_few_alarms() {
    let (seeds, long) = (seeds(2, 24), seeds(0, 1) > 0);
    for (rate, most) in [(10.0, 0.1), (1.0, 0.3)] {
        let same = Load { rate, sway: 0.1, ..QUIET };
        let mut found = Vec::new();
        let mut of = |what: &str, load: &dyn Fn(u64) -> Load| {
            let (all, by) = alarms(seeds, 5, load);
            println!("{rate} calls a second, {what}: {all:.3} alarms a day, {by:?}");
            assert!(all <= most || !long, "{rate} calls a second, {what}: {all} a day");
            found.push(all);
        };
        for lasts in [2.0, 10.0, 30.0] {
            of(&format!("noise that lasts {lasts} min"), &|second| Load { lasts, ..day(rate, second) });
        }
        of("noise of single calls only", &|second| Load { sway: 0.0, ..day(rate, second) });
        of("the same all day, without a tail", &|_| same);
        // A single kind of noise has too few seeds for a bound.
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        assert!(mean <= most, "{rate} calls a second: {mean} a day, {found:?}");
    }
}

/// In how many runs a change of the traffic alone makes another sign unusual within four hours.
fn misled(runs: u64, from: f64, to: f64, load: Load) -> u64 {
    let mut misled = 0;
    for seed in 0..runs {
        let mut world = World::new(8_000 + seed);
        (0..3 * HOUR / ROUND).for_each(|_| world.round(Load { rate: from, ..load }));
        let found = (0..4 * HOUR / ROUND).any(|_| {
            world.round(Load { rate: to, ..load });
            world.alarms().iter().any(|sign| *sign != VitalSign::Rate)
        });
        misled += u64::from(found);
    }
    misled
}

#[test]
fn a_change_of_traffic_is_no_change_of_durations() {
    let runs = seeds(20, 40);
    for (from, to) in [(10.0, 1.0), (1.0, 10.0), (10.0, 3.0), (100.0, 1.0)] {
        for (what, load) in [
            ("", QUIET),
            (" and a tail", Load { tail: 0.005, ..QUIET }),
            (" and noise that lasts", Load { tail: 0.005, sway: 0.1, ..QUIET }),
        ] {
            let misled = misled(runs, from, to, load);
            println!("from {from} to {to} calls a second{what}: {misled} of {runs} runs");
            assert!(misled <= runs / 10, "from {from} to {to} calls a second{what}: {misled} of {runs} runs");
        }
    }
}

type Change = fn(Load) -> Load;

/// Failures are detected in spite of the noise of such days.
#[test]
fn changes_are_detected_on_realistic_days() {
    let runs = seeds(20, 40);
    for (rate, bounds) in [(10.0, [30, 40, 80, 40]), (1.0, [40, 60, 700, 90])] {
        let calm: Vec<World> = (0..runs)
            .map(|seed| {
                let mut world = World::new(9_000 + seed);
                // Each seed starts at another hour.
                world.second = seed * HOUR;
                (0..6 * HOUR / ROUND).for_each(|_| world.round(day(rate, world.second)));
                world
            })
            .collect();
        let changes: [(&str, Change); 4] = [
            ("all calls fail", |load| Load { errors: 1.0, ..load }),
            ("calls take five times as long", |load| Load { mean: 5.0 * load.mean, ..load }),
            ("calls take twice as long", |load| Load { mean: 2.0 * load.mean, ..load }),
            ("20 % fail", |load| Load { errors: 0.2, ..load }),
        ];
        for ((what, change), bound) in changes.into_iter().zip(bounds) {
            let [half, most, all] = delays_from(&calm, |second| change(day(rate, second)), World::alarmed);
            println!("{what}, {rate} calls a second: {half} s, {most} s in 19 of 20, {all} s in all runs");
            assert!(half <= bound && all <= 2 * HOUR, "{what}, {rate} calls a second: {half} s, {all} s");
        }
    }
}
