//! The sampler of a pipeline starts and ends with it.

use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::{SamplerSettings, SystemSettings};
use campanile::telemetry::{TelemetryBuilder, TelemetrySettings};

const EVERY: Duration = Duration::from_millis(100);

/// Waits until `found` returns a value. The limit is only reached if the sampler does not work.
pub(crate) fn until<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    (0..6_000).find_map(|_| {
        std::thread::park_timeout(Duration::from_millis(10));
        found()
    })
}

/// The lines of a metric.
fn series(telemetry: &Telemetry, name: &str) -> Vec<String> {
    telemetry.prometheus_text().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

fn sources(telemetry: &Telemetry) -> Vec<String> {
    let source = |line: String| Some(line.split_once("source=\"")?.1.split_once('"')?.0.to_owned());
    let mut sources: Vec<_> =
        series(telemetry, "campanile_sampler_failures").into_iter().filter_map(source).collect();
    sources.sort();
    sources
}

fn builder() -> TelemetryBuilder {
    Telemetry::builder("test").variables(|_| None).prometheus()
}

#[test]
fn one_sampler_reads_all_requested_sources() {
    if !crate::in_own_process("schedule::one_sampler_reads_all_requested_sources") {
        return;
    }
    let system = builder().system(EVERY).build().unwrap();
    let names = sources(&system);
    assert!(names.iter().any(|name| name == "process"), "{names:?}");
    drop(system);

    let mut settings = crate::every(EVERY);
    settings.system = Some(SystemSettings::default());
    let twice = builder().sampler(settings).system(EVERY).build().unwrap();
    let names_of_both = sources(&twice);
    let once = |name: &String| names_of_both.iter().filter(|other| *other == name).count() == 1;
    assert!(names.iter().all(once), "{names:?} and {names_of_both:?}");
    drop(twice);

    #[cfg(feature = "gpu")]
    {
        let gpu = builder().gpu(EVERY).build().unwrap();
        assert!(
            sources(&gpu).iter().all(|name| name.starts_with("gpu")),
            "the sources of the machine were not requested"
        );
        let both = builder().system(EVERY).gpu(EVERY).build().unwrap();
        let expected = names.iter().cloned().chain(sources(&gpu)).collect::<std::collections::BTreeSet<_>>();
        drop(gpu);
        assert!(expected.into_iter().eq(sources(&both)));
    }
    assert_eq!(sources(&builder().build().unwrap()), [""; 0]);
}

#[test]
fn the_sampler_and_its_values_end_with_the_pipeline() {
    if !crate::in_own_process("schedule::the_sampler_and_its_values_end_with_the_pipeline") {
        return;
    }
    let telemetry = builder().system(EVERY).build().unwrap();
    let fresh = until(|| series(&telemetry, "system_uptime").pop());
    assert!(fresh.is_some(), "{}", telemetry.prometheus_text());
    let other = builder().build().unwrap();
    assert!(!series(&other, "system_uptime").is_empty(), "all pipelines of the process have its values");
    telemetry.shutdown(Duration::from_secs(5));
    assert_eq!(series(&other, "system_uptime"), [""; 0]);
    assert_eq!(sources(&other), [""; 0]);
}

#[test]
fn p40_values_are_reported_with_their_age() {
    let telemetry = builder().system(EVERY).build().unwrap();
    let age = until(|| series(&telemetry, "campanile_sampler_age").pop()).expect("an age");
    let seconds: f64 = age.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 0.0, "{age}");
}

#[test]
fn intervals_out_of_range_are_refused_by_name() {
    for every in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(3_601)] {
        let mut settings = SamplerSettings::default();
        settings.system = Some(SystemSettings::default());
        settings.system.as_mut().unwrap().every = Some(every);
        for (builder, name) in [
            (builder().system(every), "setting `system`"),
            (builder().sampler(crate::every(every)), "setting `sampler.every`"),
            (builder().sampler(settings), "setting `sampler.system.every`"),
        ] {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("from 100 ms to one hour"), "{error}");
        }
    }
    let text = r#"{"service_name": "a", "sampler": {"every": "1s", "thresholds": {"cpu": null}}}"#;
    let settings: TelemetrySettings = serde_json::from_str(text).unwrap();
    assert_eq!(settings.sampler.as_ref().unwrap().thresholds.cpu, None);
    TelemetryBuilder::from_settings(&settings).variables(|_| None).build().unwrap();
}
