//! How soon failures are detected, and how often there are false alarms: a simulation. The tests compare its figures with
//! those in `figures.md`. To read the code, start at `world.rs`.
//!
//! Calls are a Poisson process, fail by chance and have lognormal durations. As in health, the error share and the mean
//! duration of the last minute are measured every ten seconds. The random generator is our own, so that the figures never
//! change.

mod realistic;
mod world;

use self::world::{DAY, HOUR, Load, QUIET, ROUND, World};

/// Alarms and forecasts per day that start without a failure, for each of `spans` of days.
fn false_alarms(seeds: u64, spans: &[u64], load: impl Fn(u64) -> Load) -> Vec<f64> {
    let mut found = vec![0.0; spans.len()];
    for seed in 0..seeds {
        let (mut world, mut before) = (World::new(seed), [false; 2]);
        for (days, found) in spans.iter().zip(&mut found) {
            let until = world.second + days * DAY;
            while world.second < until {
                world.round(load(world.second));
                // Trends change slowly: every five minutes is enough.
                let foresees = if world.second.is_multiple_of(300) { world.foresees() } else { before[1] };
                let now = [world.alarmed(), foresees];
                *found += now.iter().zip(before).filter(|(now, before)| **now && !before).count() as f64;
                before = now;
            }
        }
    }
    spans.iter().zip(found).map(|(days, found)| found / (days * seeds) as f64).collect()
}

/// Worlds after two hours of the same load.
fn calm(load: Load) -> Vec<World> {
    let mut worlds: Vec<World> = (0..40).map(|seed| World::new(1_000 + seed)).collect();
    for world in &mut worlds {
        (0..2 * HOUR / ROUND).for_each(|_| world.round(load));
    }
    worlds
}

/// After how many seconds of another load `seen` holds: in half of the cases, and in 19 of 20.
fn delays(calm: &[World], load: impl Fn(f64) -> Load, seen: fn(&World) -> bool) -> [u64; 2] {
    let start = calm.first().map_or(0, |world| world.second);
    let [half, most, _] = delays_from(calm, |second| load((second - start) as f64), seen);
    [half, most]
}

/// As [`delays`], for a load that depends on the time, and with the delay of the last case.
fn delays_from(calm: &[World], load: impl Fn(u64) -> Load, seen: fn(&World) -> bool) -> [u64; 3] {
    let mut delays: Vec<u64> = calm
        .iter()
        .map(|world| {
            let (mut world, start) = (world.clone(), world.second);
            let found = (0..8 * HOUR).step_by(ROUND as usize).find(|_| {
                world.round(load(world.second));
                seen(&world)
            });
            found.map_or(u64::MAX, |_| world.second - start)
        })
        .collect();
    delays.sort_unstable();
    [delays[delays.len() / 2], delays[delays.len() * 19 / 20 - 1], delays[delays.len() - 1]]
}

/// Asserts that `figures.md` has these lines.
fn assert_documented(rows: &[String]) {
    let documented = include_str!("../figures.md");
    let missing: Vec<_> = rows.iter().filter(|row| !documented.lines().any(|line| line == *row)).collect();
    assert!(missing.is_empty(), "figures.md must have these lines:\n{}", rows.join("\n"));
}

fn time(seconds: u64) -> String {
    match seconds {
        u64::MAX => "never".to_owned(),
        seconds if seconds < 600 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// Two months of noise may raise two alarms at most.
fn noise(rate: f64, load: Load) {
    let alarms = false_alarms(2, &[30], |_| Load { rate, ..load })[0];
    assert!(alarms <= 1.0 / 30.0, "{alarms} a day");
    assert_documented(&[format!("| noise at {rate} calls a second | {alarms:.2} |")]);
}

#[test]
fn noise_at_few_calls() {
    noise(0.1, Load { errors: 0.01, ..QUIET });
}

#[test]
fn noise_at_some_calls() {
    noise(1.0, Load { errors: 0.01, ..QUIET });
}

#[test]
fn noise_at_more_calls() {
    noise(10.0, QUIET);
}

#[test]
fn noise_just_below_every_limit() {
    let alarms =
        false_alarms(2, &[30], |_| Load { memory: 0.87, errors: 0.07, mean: 4.0, letters: 90.0, ..QUIET })[0];
    assert!(alarms <= 1.0 / 30.0, "{alarms} a day");
    assert_documented(&[format!("| noise at 10 calls a second, just below every limit | {alarms:.2} |")]);
}

#[test]
fn seasons() {
    let day = |second: u64| (std::f64::consts::TAU * second as f64 / DAY as f64).sin();
    let smooth = |second| Load {
        rate: 10.0 * (0.7 * day(second)).exp(),
        mean: 0.05 * (0.25 * day(second)).exp(),
        ..QUIET
    };
    let office = |second| {
        let busy = (9..18).contains(&(second % DAY / HOUR)) && second / DAY % 7 < 5;
        if busy { Load { rate: 40.0, mean: 0.09, ..QUIET } } else { QUIET }
    };
    let [smooth, office] = [false_alarms(1, &[15, 15], smooth), false_alarms(1, &[15, 15], office)];
    assert!(smooth[0] <= 0.1 && smooth[1] <= 0.1 && office[1] <= 0.1, "{smooth:?} {office:?}");
    let row = |what: &str, alarms: f64| format!("| {what} | {alarms:.2} |");
    assert_documented(&[
        row("a wave of a day, calls ×4 and durations ×1.6, first two weeks", smooth[0]),
        row("the same from then on", smooth[1]),
        row("office hours on five days, calls ×4 and durations ×1.8 at once, first two weeks", office[0]),
        row("office hours from then on", office[1]),
    ]);
}

#[test]
fn steps_and_outages() {
    let few = Load { rate: 1.0, errors: 0.01, ..QUIET };
    let [calm_at_10, calm_at_1] = [calm(QUIET), calm(few)];
    // The standard deviation of the logarithm of the mean of a minute.
    let deviation = ((few.sigma * few.sigma).exp_m1() / 60.0).sqrt();
    let mut rows = Vec::new();
    let mut row = |what: &str, calm: &[World], load: Load, bound: u64| {
        let [half, most] = delays(calm, |_| load, World::alarmed);
        assert!(half <= bound, "{what}: {half} s");
        rows.push(format!("| {what} | {} | {} |", time(half), time(most)));
    };
    let (ten, one) = ("at 10 calls a second", "at one call a second");
    row(&format!("all calls fail, {ten}"), &calm_at_10, Load { errors: 1.0, ..QUIET }, 20);
    row(&format!("all calls fail, {one}"), &calm_at_1, Load { errors: 1.0, ..few }, 30);
    row(&format!("5 % fail instead of 0.5 %, {ten}"), &calm_at_10, Load { errors: 0.05, ..QUIET }, 90);
    row(&format!("20 % fail instead of 1 %, {one}"), &calm_at_1, Load { errors: 0.2, ..few }, 240);
    row(&format!("calls take twice as long, {ten}"), &calm_at_10, Load { mean: 0.1, ..QUIET }, 30);
    row(&format!("calls take twice as long, {one}"), &calm_at_1, Load { mean: 0.1, ..few }, 240);
    for (deviations, bound) in [(8.0, 50), (5.0, 90), (2.0, 700)] {
        let mean = few.mean * (deviations * deviation).exp();
        let what = format!("a step of {deviations} deviations of the mean duration, {one}");
        row(&what, &calm_at_1, Load { mean, ..few }, bound);
    }
    row(&format!("no calls any more, {ten}"), &calm_at_10, Load { rate: 0.0, ..QUIET }, 40);
    assert_documented(&rows);
}

#[test]
fn ramps() {
    let calm = calm(QUIET);
    let mut rows = Vec::new();
    let mut row = |what: &str, hours: f64, load: &dyn Fn(f64) -> Load| {
        let reached = hours * HOUR as f64;
        let [half, most] = delays(&calm, |second| load(second / reached), World::foresees);
        assert!((most as f64) < reached * 0.7, "{what}: {most} of {reached} s");
        let left = time(reached as u64 - half);
        rows.push(format!("| {what} | {} | {} | {left} |", time(half), time(most)));
    };
    row("dead letters from 3 to 100 in 20 min", 1.0 / 3.0, &|part| Load {
        letters: 3.0 + 97.0 * part,
        ..QUIET
    });
    for hours in [1.0, 4.0] {
        row(&format!("memory from 50 % to 90 % in {hours} h"), hours, &|part| Load {
            memory: 0.5 + 0.4 * part,
            ..QUIET
        });
        row(&format!("mean duration from 50 ms to 5 s in {hours} h"), hours, &|part| Load {
            mean: 0.05 + 4.95 * part,
            ..QUIET
        });
    }
    row("memory from 50 % to 90 % in 24 h", 24.0, &|part| Load { memory: 0.5 + 0.4 * part, ..QUIET });
    row("share of errors from 0.5 % to 10 % in 1 h", 1.0, &|part| Load {
        errors: 0.005 + 0.095 * part,
        ..QUIET
    });
    assert_documented(&rows);
}
