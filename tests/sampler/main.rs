//! The sampler compared with the system's own figures.
#![cfg(feature = "system")]

#[cfg(feature = "prometheus")]
mod allocator;
#[cfg(all(campanile_real_servers, feature = "full", target_os = "linux"))]
mod calls;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod collectors;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod container;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod host;
mod names;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod odd_machine;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod process;
#[cfg(all(campanile_real_servers, feature = "full"))]
mod prometheus;
#[cfg(feature = "prometheus")]
mod runtime;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod schedule;
#[cfg(all(campanile_real_servers, feature = "full"))]
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "prometheus", target_os = "linux"))]
mod thresholds;

use std::time::Duration;

use campanile::sampler::{Sampler, SamplerSettings, SystemSnapshot};

/// Whether this process runs only the test `test`. If not, starts such a process and waits for it. The samplers of a
/// process share their counts, so tests that compare values must not run together.
#[cfg(all(feature = "prometheus", target_os = "linux"))]
fn in_own_process(test: &str) -> bool {
    const OWN_PROCESS: &str = "CAMPANILE_TEST_OWN_PROCESS";
    if std::env::var_os(OWN_PROCESS).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--nocapture"]).env(OWN_PROCESS, "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// The default settings with another interval.
fn every(every: Duration) -> SamplerSettings {
    let mut settings = SamplerSettings::default();
    settings.every = every;
    settings
}

#[test]
fn bad_settings_are_refused_by_name() {
    for every in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(3_601)] {
        let error = Sampler::from_settings(&self::every(every)).unwrap_err();
        assert_eq!(error.setting(), "sampler.every");
        assert_eq!(error.value(), format!("{every:?}"));
        assert!(error.to_string().contains("from 100 ms to one hour"), "{error}");
    }
    for (system, setting, value) in [
        (r#"{"every": "1ms"}"#, "sampler.system.every", "1ms"),
        (r#"{"disks": ["sd*", ""]}"#, "sampler.system.disks", "\"\""),
        (r#"{"interfaces": ["!"]}"#, "sampler.system.interfaces", "\"!\""),
        (r#"{"file_systems": [""]}"#, "sampler.system.file_systems", "\"\""),
        (r#"{"file_system_types": [""]}"#, "sampler.system.file_system_types", "\"\""),
    ] {
        let settings: SamplerSettings = serde_json::from_str(&format!(r#"{{"system": {system}}}"#)).unwrap();
        let error = Sampler::from_settings(&settings).unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value), "{error}");
    }
    let error = serde_json::from_str::<SamplerSettings>(r#"{"evry": "1s"}"#).unwrap_err();
    assert!(error.to_string().contains("evry"), "{error}");
    let settings: SamplerSettings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, SamplerSettings::default());
}

#[test]
fn a_sampler_can_be_started_and_stopped_repeatedly() {
    for _ in 0..20 {
        drop(Sampler::from_settings(&SamplerSettings::default()).unwrap());
    }
}

#[cfg(target_os = "linux")]
mod against_proc {
    use super::*;
    use std::fs;

    fn read(path: &str) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn kib(text: &str, key: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1_024.0
    }

    /// The idle and the total time of all processors, in hundredths of a second.
    fn processors() -> (f64, f64) {
        let stat = read("/proc/stat");
        let times: Vec<f64> = stat
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .skip(1)
            .map(|time| time.parse().unwrap())
            .collect();
        // User and nice time include guest time.
        (times[3] + times[4], times[..8].iter().sum())
    }

    /// Processor time of this process in seconds.
    fn own_time() -> f64 {
        let stat = read("/proc/self/stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn close(name: &str, ours: f64, theirs: f64, tolerance: f64) {
        assert!((ours - theirs).abs() <= tolerance, "{name}: {ours} is not {theirs} ± {tolerance}");
    }

    #[test]
    fn p41_values_agree_with_proc() {
        const MIB: f64 = 1_048_576.0;
        let snapshot = SystemSnapshot::now();
        let meminfo = read("/proc/meminfo");
        let status = read("/proc/self/status");
        let memory = snapshot.memory.expect("memory");
        assert_eq!(memory.limit as f64, kib(&meminfo, "MemTotal"));
        let [free, buffers, cached] = [memory.free, memory.buffers, memory.cached].map(Option::unwrap);
        let total = memory.used + free + buffers + cached;
        assert_eq!(total, memory.limit);
        // Other processes run on this machine.
        close("free", free as f64, kib(&meminfo, "MemFree"), 1_024.0 * MIB);
        close("available", memory.available as f64, kib(&meminfo, "MemAvailable"), 1_024.0 * MIB);
        let uptime: f64 = read("/proc/uptime").split(' ').next().unwrap().parse().unwrap();
        close("uptime", snapshot.uptime.expect("uptime").as_secs_f64(), uptime, 2.0);
        let load: f64 = read("/proc/loadavg").split(' ').next().unwrap().parse().unwrap();
        close("load", snapshot.load.expect("load")[0], load, 1.0);
        let online = read("/proc/stat").lines().filter(|line| line.starts_with("cpu")).count() - 1;
        assert_eq!(snapshot.cpus, online);

        let process = snapshot.process.expect("this process");
        close("resident", process.memory.unwrap() as f64, kib(&status, "VmRSS"), 8.0 * MIB);
        close("virtual", process.memory_virtual.unwrap() as f64, kib(&status, "VmSize"), 256.0 * MIB);
        close("processor time", process.cpu_time.as_secs_f64(), own_time(), 0.1);
        assert!(process.uptime.unwrap() < Duration::from_secs(3_600));

        // One thread computes for half a second of processor time.
        let before = SystemSnapshot::now();
        let (idle, all, own) = (processors().0, processors().1, own_time());
        let mut sum = 0_u64;
        while own_time() - own < 0.5 {
            (0..200_000_u64).for_each(|number| sum = std::hint::black_box(sum.wrapping_add(number)));
        }
        let after = SystemSnapshot::now();
        let (idle_after, all_after) = processors();
        let wall = (all_after - all) / 100.0 / after.cpus as f64;
        let busy = 1.0 - (idle_after - idle) / (all_after - all);
        close("busy", after.cpu_utilization.expect("two readings"), busy, 0.1);
        let own = (own_time() - own) / wall / after.cpus as f64;
        let process = after.process.expect("this process");
        close("own share", process.cpu_utilization.expect("two readings"), own, 0.1);
        assert!(process.cpu_time > before.process.expect("this process").cpu_time);
    }
}

#[cfg(all(feature = "prometheus", target_os = "linux"))]
#[test]
fn p42_the_pipeline_has_the_values_and_no_command_lines() {
    let telemetry = campanile::Telemetry::builder("test")
        .prometheus()
        .system(Duration::from_millis(100))
        .build()
        .unwrap();
    let wanted = [
        "system_cpu_utilization",
        "system_cpu_logical",
        "campanile_system_load",
        "system_memory_usage",
        "system_memory_limit",
        "system_memory_utilization",
        "system_uptime",
        "process_cpu_time",
        "process_cpu_utilization",
        "process_memory_usage",
        "process_memory_virtual",
        "process_uptime",
        "campanile_sampler_duration",
        "campanile_sampler_failures",
    ];
    // Shares need two readings at least 200 ms apart.
    let complete = |text: &String| wanted.iter().all(|name| text.lines().any(|line| line.starts_with(name)));
    let text = (0..3_000).find_map(|_| {
        std::thread::park_timeout(Duration::from_millis(10));
        Some(telemetry.prometheus_text()).filter(complete)
    });
    let text = text.unwrap_or_else(|| panic!("a metric is missing in {}", telemetry.prometheus_text()));
    let labels =
        ["service", "source", "period", "cpu_mode", "system_memory_state", "otel_scope", "telemetry_sdk"];
    for line in text.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))) {
        for label in line.split(['{', ',', '}']).filter(|part| part.contains("=\"")) {
            assert!(labels.iter().any(|known| label.starts_with(known)), "{line}");
        }
        assert!(!line.contains(std::env::args().next().unwrap().as_str()), "{line}");
    }
    for failures in text.lines().filter(|line| line.starts_with("campanile_sampler_failures")) {
        assert!(failures.ends_with(" 0"), "{failures}");
    }
}
