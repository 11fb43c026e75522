//! Collectors of the program: their values are metrics and count for health, whatever they do.
//!
//! Metrics are declared in the whole process, so each test uses its own names.
#![allow(clippy::disallowed_types)] // That of the crate is its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::Telemetry;
use campanile::health::{ReasonKind, Status};
use campanile::sampler::{Measurement, Sampler, SamplerBuilder, SamplerSettings};

use crate::schedule::until;

const EVERY: Duration = Duration::from_millis(100);

fn nothing() -> SamplerSettings {
    let mut settings = crate::every(EVERY);
    settings.system = None;
    #[cfg(feature = "gpu")]
    {
        settings.gpu = None;
    }
    settings
}

fn pipeline() -> Telemetry {
    Telemetry::builder("test").variables(|_| None).prometheus().build().unwrap()
}

fn with(set_up: impl FnOnce(SamplerBuilder) -> SamplerBuilder + Send + 'static) -> Telemetry {
    let builder = Telemetry::builder("test").variables(|_| None).prometheus();
    builder.sampler(nothing()).sampler_with(set_up).build().unwrap()
}

/// The value of the series of this name with all of these labels.
fn value(telemetry: &Telemetry, name: &str, labels: &[&str]) -> Option<f64> {
    let text = telemetry.prometheus_text();
    let line = text.lines().find(|line| {
        line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
    });
    line.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn failures(telemetry: &Telemetry, collector: &str, part: &str) -> f64 {
    let source = format!("source=\"collector.{collector}\"");
    let part = format!("part=\"{part}\"");
    value(telemetry, "campanile_sampler_failures_total", &[&source, &part]).unwrap_or_default()
}

#[track_caller]
fn wait(what: &str, fits: impl Fn() -> bool) {
    assert!(until(|| fits().then_some(())).is_some(), "{what}");
}

#[test]
fn gauges_and_counters_are_metrics_with_unit_description_and_attributes() {
    static SENT: AtomicU64 = AtomicU64::new(10);
    let telemetry = with(|sampler| {
        sampler.collector("kinds", EVERY, || {
            let queues = ["mail", "invoices"].map(|queue| {
                let depth = Measurement::gauge("kinds.queue.depth", -1.5).unit("{job}");
                depth.description("Jobs that wait.").attribute("queue", queue).attribute("a", "1")
            });
            let sent = SENT.fetch_add(1, Ordering::Relaxed);
            queues.into_iter().chain([Measurement::counter("kinds.sent", sent as f64).unit("By")])
        })
    });
    wait("the gauge", || {
        ["mail", "invoices"].iter().all(|queue| {
            let labels = ["a=\"1\"", &format!("queue=\"{queue}\"")];
            value(&telemetry, "kinds_queue_depth", &labels) == Some(-1.5)
        })
    });
    wait("a counter that grows", || {
        value(&telemetry, "kinds_sent_bytes_total", &[]).is_some_and(|sent| sent > 12.0)
    });
    let text = telemetry.prometheus_text();
    assert!(
        text.contains("# TYPE kinds_queue_depth gauge")
            && text.contains("# HELP kinds_queue_depth Jobs that wait.")
    );
    assert!(text.contains("# TYPE kinds_sent_bytes_total counter"), "{text}");
    // A pipeline that starts later reports them too.
    let later = pipeline();
    assert_eq!(value(&later, "kinds_queue_depth", &["mail"]), Some(-1.5));
    // Its interval and name are those of a source.
    assert_eq!(failures(&telemetry, "kinds", ""), 0.0);
    drop(telemetry);
    assert_eq!(value(&later, "kinds_queue_depth", &[]), None, "its sampler ended");
}

#[test]
fn a_collector_can_be_added_to_a_running_pipeline_and_is_removed_with_its_guard() {
    let telemetry = pipeline();
    let cache = Arc::new(());
    let held = Arc::clone(&cache);
    let collect = move || {
        let _ = &held;
        vec![Measurement::gauge("added.entries", 7.0)]
    };
    let guard = Sampler::collector("added", EVERY, collect).unwrap();
    wait("the value", || value(&telemetry, "added_entries", &[]) == Some(7.0));
    drop(guard);
    assert_eq!(value(&telemetry, "added_entries", &[]), None);
    wait("the function is dropped", || Arc::strong_count(&cache) == 1);
    let _again = Sampler::collector("added", EVERY, || [Measurement::gauge("added.entries", 8.0)]).unwrap();
    wait("the value of the second", || value(&telemetry, "added_entries", &[]) == Some(8.0));
}

#[test]
fn a_collector_that_panics_or_hangs_fails_alone() {
    static READ: AtomicU64 = AtomicU64::new(0);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let telemetry = with(move |sampler| {
        sampler
            .collector("panics", EVERY, || -> Vec<Measurement> { panic!("on purpose") })
            .collector("hangs", EVERY, move || -> Vec<Measurement> {
                let _ = released.lock().map(|released| released.recv());
                Vec::new()
            })
            .collector("breaks-off", EVERY, || {
                (0..).map(|number| {
                    assert!(number < 3, "on purpose");
                    Measurement::gauge("broken.value", 1.0).attribute("number", number.to_string())
                })
            })
            .collector("works", EVERY, || {
                [Measurement::gauge("working.value", READ.fetch_add(1, Ordering::Relaxed) as f64)]
            })
    });
    wait("the good one is read", || value(&telemetry, "working_value", &[]).is_some_and(|read| read >= 4.0));
    for source in ["panics", "breaks-off"] {
        let label = format!("source=\"collector.{source}\"");
        wait(source, || value(&telemetry, "campanile_sampler_failures_total", &[&label]) >= Some(1.0));
    }
    assert_eq!(value(&telemetry, "broken_value", &[]), None);
    // Shutdown does not wait for the hanging function.
    drop(telemetry);
    drop(release);
}

#[test]
fn what_is_invalid_is_left_out_and_counted_and_the_rest_is_reported() {
    let telemetry = with(|sampler| {
        let sampler = sampler.collector("negative", EVERY, || [Measurement::counter("odd.negative", -1.0)]);
        sampler.collector("odd", EVERY, || {
            let gauge = |name: &'static str| Measurement::gauge(name, 1.0);
            let many = (0..7).fold(gauge("odd.many"), |one, key| one.attribute(format!("k{key}"), "v"));
            vec![
                gauge("odd.good"),
                gauge("odd name"),
                gauge("campanile.odd"),
                gauge("process.uptime"),
                Measurement::counter("odd.good", 1.0),
                gauge("odd.good"),
                Measurement::gauge("odd.nan", f64::NAN),
                many,
                gauge("odd.twice").attribute("k", "1").attribute("k", "2"),
                gauge("odd.limits").limits(5.0, 4.0),
                gauge("odd.zero").limits(0.0, 4.0),
                gauge("odd.infinite").limits(5.0, f64::INFINITY),
                gauge("odd.unit").unit("u".repeat(64)),
                gauge("odd.description").description("d".repeat(256)),
                gauge("odd.last"),
            ]
        })
    });
    wait("the rest", || value(&telemetry, "odd_last", &[]).is_some());
    wait("a total below zero is counted", || failures(&telemetry, "negative", "value") >= 1.0);
    assert_eq!(value(&telemetry, "odd_good", &[]), Some(1.0));
    for part in ["name", "duplicate", "value", "attributes", "limits"] {
        assert!(failures(&telemetry, "odd", part) >= 1.0, "{part}");
    }
    let text = telemetry.prometheus_text();
    let left_out = ["nan", "negative", "many", "twice", "limits", "zero", "infinite", "unit", "description"];
    for name in left_out.map(|name| format!("odd_{name}")).iter().map(String::as_str).chain(["campanile_odd"])
    {
        assert!(!text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn a_series_is_the_same_in_any_order_of_its_attributes() {
    let telemetry = with(|sampler| {
        sampler.collector("ordered", EVERY, || {
            let gauge = || Measurement::gauge("ordered.value", 1.0);
            [gauge().attribute("a", "1").attribute("b", "2"), gauge().attribute("b", "2").attribute("a", "1")]
        })
    });
    wait("the second is refused", || failures(&telemetry, "ordered", "duplicate") >= 1.0);
}

#[test]
fn a_series_of_two_collectors_has_the_last_value_or_the_sum_of_the_totals() {
    let telemetry = with(|sampler| {
        let both = || [Measurement::gauge("shared.depth", 5.0), Measurement::counter("shared.sent", 3.0)];
        sampler.collector("shared-one", EVERY, both).collector("shared-other", EVERY, both)
    });
    wait("the sum", || value(&telemetry, "shared_sent_total", &[]) == Some(6.0));
    assert_eq!(value(&telemetry, "shared_depth", &[]), Some(5.0));
}

#[test]
fn a_total_that_restarts_continues_from_its_old_value() {
    static READ: AtomicU64 = AtomicU64::new(0);
    let telemetry = with(|sampler| {
        sampler.collector("restarts", EVERY, || {
            let read = READ.fetch_add(1, Ordering::Relaxed);
            let total = if read < 3 { 100 + read } else { read };
            [Measurement::counter("restarts.sent", total as f64)]
        })
    });
    wait("the first total", || value(&telemetry, "restarts_sent_total", &[]).is_some());
    wait("it has restarted", || READ.load(Ordering::Relaxed) > 8);
    let sent = value(&telemetry, "restarts_sent_total", &[]);
    assert!(sent.is_some_and(|sent| sent > 102.0), "{sent:?}");
}

#[test]
fn the_number_of_metrics_and_of_keys_is_limited() {
    let test = "collectors::the_number_of_metrics_and_of_keys_is_limited";
    if !crate::in_own_process(test) {
        return;
    }
    let telemetry = with(|sampler| {
        let keys = |from: u64| {
            move || {
                (from..from + 600).map(|number| {
                    Measurement::gauge("keys.value", 1.0).attribute(format!("key{number}"), "1")
                })
            }
        };
        sampler.collector("few-keys", EVERY, keys(0)).collector("more-keys", EVERY, keys(600)).collector(
            "metrics",
            EVERY,
            || (0..300).map(|number| Measurement::gauge(format!("metrics.value{number}"), 1.0)),
        )
    });
    let series =
        |name: &str| telemetry.prometheus_text().lines().filter(|line| line.starts_with(name)).count();
    wait("both limits are reached", || {
        let keys: f64 =
            ["few-keys", "more-keys"].map(|name| failures(&telemetry, name, "attributes")).iter().sum();
        keys >= 1.0 && failures(&telemetry, "metrics", "name") >= 1.0
    });
    wait("1,024 keys", || series("keys_value{") == 1_024);
    wait("256 metrics, of which one is that of the keys", || series("metrics_value") == 255);
}

#[test]
fn the_number_and_the_size_of_series_are_limited() {
    let telemetry = with(|sampler| {
        sampler
            .collector("endless", EVERY, || {
                (0_u64..).map(|number| {
                    Measurement::gauge("endless.value", 1.0).attribute("number", number.to_string())
                })
            })
            .collector("large", EVERY, || {
                (0_u64..).map(|number| {
                    let text = "x".repeat(10_000);
                    Measurement::gauge("large.value", 1.0).attribute("text", format!("{number}{text}"))
                })
            })
    });
    wait("both are read", || {
        ["endless", "large"].iter().all(|name| failures(&telemetry, name, "series") >= 1.0)
    });
    let text = telemetry.prometheus_text();
    let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((series("endless_value{"), series("large_value{")), (1_000, 26));
}

#[test]
fn limits_change_the_health_of_the_component() {
    static DEPTH: AtomicU64 = AtomicU64::new(0);
    let telemetry = pipeline();
    let health = telemetry.health();
    let _guard = Sampler::collector("limited-queue", EVERY, || {
        let depth = Measurement::gauge("limited.depth", DEPTH.load(Ordering::Relaxed) as f64);
        let depth = depth.limits(1_000.0, 5_000.0);
        [depth.clone(), depth.attribute("queue", "mail").component("mailer")]
    })
    .unwrap();
    for (depth, status, text) in [
        (999, Status::Healthy, None),
        (1_000, Status::Degraded, Some("is 1000; warning from 1000 until it falls below 950")),
        (960, Status::Degraded, Some("is 960; warning from 1000 until it falls below 950")),
        (7_000, Status::Unhealthy, Some("is 7000; critical from 5000 until it falls below 4750")),
        (0, Status::Healthy, None),
    ] {
        DEPTH.store(depth, Ordering::Relaxed);
        for (component, which) in
            [("limited-queue", "limited.depth"), ("mailer", "limited.depth{queue=mail}")]
        {
            wait(&format!("{component} at {depth}"), || {
                let snapshot = health.snapshot();
                let Some(component) = snapshot.component(component) else { return false };
                let reason = component.reasons.first();
                let expected = text.map(|text| format!("{which} {text}"));
                component.status == status
                    && reason.map(|reason| reason.text.clone()) == expected
                    && reason.is_none_or(|reason| reason.kind == ReasonKind::Measurement)
            });
        }
    }
}

#[test]
fn a_component_whose_name_is_too_long_is_that_of_the_collector() {
    let telemetry = pipeline();
    let health = telemetry.health();
    let _guard = Sampler::collector("long-names", EVERY, || {
        let full = Measurement::gauge("long.names", 7.0).limits(1.0, 5.0);
        [full.component("c".repeat(129))]
    })
    .unwrap();
    wait("its status", || {
        health.snapshot().component("long-names").is_some_and(|found| found.status == Status::Unhealthy)
    });
}

#[test]
fn names_and_intervals_of_collectors_are_checked() {
    let none = || -> Vec<Measurement> { Vec::new() };
    for (name, every, setting) in [
        ("", EVERY, "sampler.collector"),
        (&*"n".repeat(129), EVERY, "sampler.collector"),
        ("fast", Duration::from_millis(99), "every"),
        ("slow", Duration::from_secs(3_601), "every"),
    ] {
        let error = Sampler::collector(name, every, none).unwrap_err();
        assert_eq!(error.setting(), setting, "{error}");
    }
    let twice =
        Sampler::builder().settings(nothing()).collector("same", EVERY, none).collector("same", EVERY, none);
    let error = twice.build().unwrap_err();
    assert_eq!((error.setting(), error.value()), ("sampler.collector", "\"same\""));
}
