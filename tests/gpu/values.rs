//! Values, units and labels of GPU metrics.

use campanile::sampler::{GpuSnapshot, GpuState};

use crate::fake_gpus::FakeGpus;
use crate::support::{Sampled, alone};

const GIB: f64 = 1_073_741_824.0;

#[test]
fn p41_all_values_of_each_gpu_agree_with_the_driver() {
    let gpus = FakeGpus::new(2, "values");
    for command in [
        "set 1 utilization 99",
        "set 1 encoder 3",
        "set 1 decoder 4",
        "set 1 power 123456",
        "set 1 corrected 5",
        "set 1 uncorrected 6",
        "set 1 replays 7",
        // Power, heat, and idle. Idle is not a reason for throttling.
        "set 1 throttle 37",
    ] {
        gpus.command(command);
    }
    let sampled = Sampled::new(gpus.path());
    let of = [
        [("hw_id", "GPU-values-0"), ("hw_name", "gpu/0")],
        [("hw_id", "GPU-values-1"), ("hw_name", "gpu/1")],
    ];
    sampled.until_value("hw_gpu_utilization_ratio", &[of[1][0], ("hw_gpu_task", "general")], 0.99);
    let text = sampled.text();
    let value = |metric: &str, gpu: usize, more: &[(&str, &str)]| {
        let labels: Vec<_> = of[gpu].iter().chain(more).copied().collect();
        crate::support::value(&text, metric, &labels)
    };
    assert_eq!(value("hw_gpu_utilization_ratio", 0, &[("hw_gpu_task", "general")]), Some(0.5));
    assert_eq!(value("hw_gpu_utilization_ratio", 1, &[("hw_gpu_task", "encoder")]), Some(0.03));
    assert_eq!(value("hw_gpu_utilization_ratio", 1, &[("hw_gpu_task", "decoder")]), Some(0.04));
    assert_eq!(value("hw_gpu_memory_usage_bytes", 0, &[]), Some(20.0 * GIB));
    assert_eq!(value("hw_gpu_memory_limit_bytes", 0, &[("hw_model", "NVIDIA Fake 80GB")]), Some(80.0 * GIB));
    assert_eq!(value("hw_gpu_memory_utilization_ratio", 0, &[]), Some(0.25));
    let sensor = ("hw_sensor_location", "gpu");
    assert_eq!(value("hw_temperature_celsius", 0, &[sensor]), Some(61.0));
    let limit = |kind| value("hw_temperature_limit_celsius", 0, &[sensor, ("hw_limit_type", kind)]);
    assert_eq!((limit("high.degraded"), limit("high.critical")), (Some(90.0), Some(95.0)));
    let kind = ("hw_type", "gpu");
    assert_eq!(value("hw_power_watts", 1, &[kind]), Some(123.456));
    assert_eq!(value("hw_energy_joules_total", 1, &[kind]), Some(5_000.0));
    assert_eq!(value("campanile_gpu_power_limit_watts", 0, &[]), Some(400.0));
    let clock = |clock| value("campanile_gpu_clock_frequency_hertz", 0, &[("clock", clock)]);
    let clocks = ["graphics", "sm", "memory", "video"].map(clock);
    assert_eq!(clocks, [1.41e9, 1.4e9, 1.593e9, 1.275e9].map(Some));
    let errors = |kind| value("hw_errors_total", 1, &[("hw_type", "gpu"), ("error_type", kind)]);
    assert_eq!((errors("corrected"), errors("uncorrected")), (Some(5.0), Some(6.0)));
    assert_eq!(value("campanile_gpu_pcie_replays_total", 1, &[]), Some(7.0));
    let slowed = |gpu, reason| value("campanile_gpu_throttled_ratio", gpu, &[("reason", reason)]);
    assert_eq!(slowed(1, "sw_power_cap"), Some(1.0));
    assert_eq!(slowed(1, "sw_thermal_slowdown"), Some(1.0));
    assert_eq!(slowed(1, "hw_slowdown"), Some(0.0));
    assert_eq!(slowed(0, "sw_thermal_slowdown"), Some(0.0));
    assert!(!text.contains("idle"), "{text}");
    let status = |gpu, state| value("hw_status_ratio", gpu, &[("hw_state", state), kind]);
    let states = ["ok", "degraded", "predicted_failure", "failed"];
    assert_eq!(states.map(|state| status(0, state)), [1.0, 0.0, 0.0, 0.0].map(Some));
    assert_eq!(states.map(|state| status(1, state)), [0.0, 1.0, 0.0, 0.0].map(Some));
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn p41_mig_instances_appear_and_disappear_under_their_gpu() {
    let gpus = FakeGpus::new(1, "mig");
    for command in [
        "part 0 1",
        "part 0 3",
        // What a divided GPU and its parts do not report.
        "error 0 utilization 3",
        "error 101 utilization 3",
        "error 103 utilization 3",
        "error 101 power 3",
        "set 101 memory_total 10737418240",
        "set 101 memory_used 1073741824",
    ] {
        gpus.command(command);
    }
    let sampled = Sampled::new(gpus.path());
    let part = [("hw_id", "MIG-mig-0-1"), ("hw_name", "gpu/0/mig/1"), ("hw_parent", "GPU-mig-0")];
    sampled.until_value("hw_gpu_memory_limit_bytes", &part, 10.0 * GIB);
    sampled.until_value("hw_gpu_memory_utilization_ratio", &part, 0.1);
    let text = sampled.text();
    let value = |metric: &str, labels: &[(&str, &str)]| crate::support::value(&text, metric, labels);
    assert_eq!(value("hw_gpu_memory_usage_bytes", &[("hw_name", "gpu/0/mig/3")]), Some(20.0 * GIB));
    assert_eq!(value("hw_gpu_utilization_ratio", &[("hw_gpu_task", "general")]), None);
    assert_eq!(value("hw_power_watts", &[("hw_name", "gpu/0/mig/1")]), None);
    assert_eq!(value("hw_status_ratio", &[part[0], part[2], ("hw_state", "ok")]), Some(1.0));

    gpus.command("nopart 0 1");
    gpus.command("part 0 2");
    sampled.until_value("hw_gpu_memory_usage_bytes", &[("hw_id", "MIG-mig-0-2")], 20.0 * GIB);
    assert!(!sampled.text().contains("MIG-mig-0-1"));
    assert_eq!(sampled.failures(), 0.0);

    // The totals do not count MIG instances twice.
    let snapshot = GpuSnapshot::with_library(gpus.path());
    assert_eq!(snapshot.devices.len(), 3);
    assert_eq!(snapshot.memory_limit as f64, 80.0 * GIB);
    assert_eq!(snapshot.devices[1].parent.as_deref(), Some("GPU-mig-0"));
}

#[test]
fn p41_a_snapshot_adds_up_and_needs_no_sampler() {
    let _alone = alone();
    let gpus = FakeGpus::new(3, "snapshot");
    for command in [
        "set 0 utilization 90",
        "set 1 utilization 10",
        "error 2 utilization 3",
        "error 2 power 3",
        "set 1 temperature 80",
    ] {
        gpus.command(command);
    }
    let snapshot = GpuSnapshot::with_library(gpus.path());
    assert_eq!(snapshot.absence, None);
    assert_eq!(snapshot.driver.as_deref(), Some("570.00.01"));
    assert_eq!(snapshot.devices.len(), 3);
    assert_eq!(snapshot.utilization, Some(0.5));
    assert_eq!(snapshot.power, Some(500.0));
    assert_eq!(snapshot.hottest, Some(80.0));
    assert_eq!((snapshot.memory_limit as f64, snapshot.memory_used as f64), (240.0 * GIB, 60.0 * GIB));
    let device = &snapshot.devices[0];
    assert_eq!((&*device.name, &*device.id, device.state), ("gpu/0", "GPU-snapshot-0", GpuState::Ok));
    let json = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(json["devices"][2]["utilization"], serde_json::Value::Null);
    assert_eq!(json["devices"][1]["temperature"], 80.0);
    assert_eq!(json["devices"][1]["state"], "ok");
    // The snapshot closed the driver.
    gpus.wait_until_closed();
}

#[test]
fn a_reading_makes_each_call_once() {
    let gpus = FakeGpus::new(2, "cost");
    let mut sampled = Sampled::new(gpus.path());
    sampled.readings(&gpus, 3);
    let took = sampled.value("campanile_sampler_duration_seconds", &[("source", "gpu")]);
    sampled.stop();
    let names = [
        "utilization",
        "encoder",
        "decoder",
        "memory",
        "temperature",
        "power",
        "power_limit",
        "energy",
        "clock/0",
        "clock/1",
        "clock/2",
        "clock/3",
        "throttle",
        "corrected",
        "uncorrected",
        "replays",
    ];
    let readings = gpus.calls("count");
    assert!(readings >= 3);
    for name in names {
        assert_eq!(gpus.calls(&format!("{name}/1")), readings, "{name}");
    }
    // Constant values are read once.
    for name in ["handle/1", "uuid/1", "name/1", "slowdown/1", "shutdown/1", "register/1"] {
        assert_eq!(gpus.calls(name), 1, "{name}");
    }
    assert_eq!(gpus.calls("events"), 2 * readings);
    println!("the last reading of 2 devices took {took:?} s");
    println!(
        "each reading makes {} calls for each device, 1 call for all devices, and every sixth reading 1 call for MIG instances",
        names.len() + 1
    );
}

#[test]
fn p41_impossible_values_are_left_out_and_the_others_kept() {
    let _alone = alone();
    let gpus = FakeGpus::new(1, "range");
    let snapshot = || serde_json::to_value(&GpuSnapshot::with_library(gpus.path()).devices[0]).unwrap();
    let whole = snapshot();
    let narrow = u64::from(u32::MAX);
    for (call, field, bad, usual) in [
        ("utilization", "utilization", narrow, 50),
        ("encoder", "encoder_utilization", narrow, 0),
        ("decoder", "decoder_utilization", narrow, 0),
        ("memory_total", "memory", u64::MAX, 80_u64 << 30),
        ("memory_used", "memory", u64::MAX, 20 << 30),
        ("memory_used", "memory", 81 << 30, 20 << 30),
        ("memory_reserved", "memory", u64::MAX, 1 << 30),
        ("temperature", "temperature", narrow - 20, 61),
        ("slowdown", "slowdown_temperature", narrow, 90),
        ("shutdown", "shutdown_temperature", narrow, 95),
        ("power", "power", narrow, 250_000),
        ("power_limit", "power_limit", narrow, 400_000),
        ("energy", "energy", u64::MAX, 5_000_000),
        ("clock/0", "graphics", narrow, 1_410),
        ("clock/1", "sm", narrow, 1_400),
        ("clock/2", "memory", narrow, 1_593),
        ("clock/3", "video", narrow, 1_275),
        ("corrected", "corrected_errors", u64::MAX, 0),
        ("uncorrected", "uncorrected_errors", u64::MAX, 0),
        ("replays", "pcie_replays", narrow, 0),
    ] {
        // Temperature limits are read once.
        gpus.wait_until_closed();
        gpus.command(&format!("set 0 {call} {bad}"));
        let mut without = whole.clone();
        match call.starts_with("clock/") {
            true => without["clocks"][field] = serde_json::Value::Null,
            false => without[field] = serde_json::Value::Null,
        }
        assert_eq!(snapshot(), without, "{call} {bad}");
        gpus.command(&format!("set 0 {call} {usual}"));
    }
    gpus.wait_until_closed();
    assert_eq!(snapshot(), whole);
}

#[test]
fn p35_256_gpus_are_all_reported() {
    let gpus = FakeGpus::new(256, "many");
    let sampled = Sampled::new(gpus.path());
    let of = |text: &str, metric: &str| text.lines().filter(|line| line.starts_with(metric)).count();
    let all = sampled.until("all of them", |text| {
        (of(text, "campanile_gpu_throttled_ratio{") == 256 * 8).then(|| text.to_owned())
    });
    assert_eq!(of(&all, "hw_status_ratio{"), 256 * 4);
    assert_eq!(of(&all, "hw_temperature_limit_celsius{"), 256 * 2);
    assert!(!all.contains("otel_metric_overflow"));
}
