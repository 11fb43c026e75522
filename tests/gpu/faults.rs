//! Failures of drivers and devices.

use std::path::Path;
use std::time::Duration;

use campanile::sampler::{GpuSnapshot, GpuState};

use crate::fake_gpus::FakeGpus;
use crate::support::{Sampled, alone, logged, threads};

const NOT_SUPPORTED: u32 = 3;
const LOST: u32 = 15;
const RESET_REQUIRED: u32 = 16;

#[test]
fn p40_a_machine_without_a_driver_logs_nothing() {
    let sampled = Sampled::new(Path::new("/nowhere/libnvidia-ml.so.1"));
    let source = [("source", "gpu")];
    sampled
        .until("reading", |text| crate::support::value(text, "campanile_sampler_duration_seconds", &source));
    assert_eq!(sampled.failures(), 0.0);
    sampled.until("end of its thread", |_| (threads() == 0).then_some(()));
    assert!(!sampled.text().contains("hw_"), "{}", sampled.text());
    assert_eq!(logged(), "");
    let snapshot = GpuSnapshot::with_library("/nowhere/libnvidia-ml.so.1");
    assert!(snapshot.absence.is_some_and(|why| why.contains("libnvidia-ml")));
}

#[test]
fn p40_a_driver_that_is_loaded_later_is_found() {
    let gpus = FakeGpus::new(1, "later");
    gpus.command("error * init 9");
    let sampled = Sampled::new(gpus.path());
    sampled.until("start", |_| (gpus.calls("init") >= 2).then_some(()));
    assert_eq!((sampled.failures(), logged()), (0.0, String::new()));
    gpus.command("error * init 0");
    sampled.until_value("hw_temperature_celsius", &[("hw_id", "GPU-later-0")], 61.0);
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn p40_a_driver_that_does_not_start_is_a_failure_that_is_logged_once() {
    // No permission, a driver of another version, and an unknown error.
    for code in [4, 18, 999] {
        let gpus = FakeGpus::new(1, &format!("init{code}"));
        gpus.command(&format!("error * init {code}"));
        let sampled = Sampled::new(gpus.path());
        sampled.until("failures", |_| (sampled.failures() >= 2.0).then_some(()));
        assert_eq!(logged().matches("cannot read this source").count(), 1, "{}", logged());
        sampled.until("end of its thread", |_| (threads() == 0).then_some(()));
        gpus.command("error * init 0");
        sampled.until_value("hw_temperature_celsius", &[("hw_name", "gpu/0")], 61.0);
        assert_eq!(logged().matches("can read this source again").count(), 1, "{}", logged());
    }
}

#[test]
fn p40_a_failed_call_loses_only_its_own_value() {
    let _alone = alone();
    let gpus = FakeGpus::new(1, "calls");
    let whole = GpuSnapshot::with_library(gpus.path());
    let values = |snapshot: &GpuSnapshot| {
        let device = serde_json::to_value(&snapshot.devices[0]).unwrap();
        fn count(value: &serde_json::Value) -> usize {
            match value {
                serde_json::Value::Null => 0,
                serde_json::Value::Object(map) => map.values().map(count).sum(),
                _ => 1,
            }
        }
        count(&device)
    };
    let all = values(&whole);
    let calls = [
        ("utilization", 1),
        ("encoder", 1),
        ("decoder", 1),
        ("memory", 3),
        ("temperature", 1),
        ("slowdown", 1),
        ("shutdown", 1),
        ("power", 1),
        ("power_limit", 1),
        ("energy", 1),
        ("clock/0", 1),
        ("clock/1", 1),
        ("clock/2", 1),
        ("clock/3", 1),
        ("throttle", 1),
        ("corrected", 1),
        ("uncorrected", 1),
        ("replays", 1),
        ("mig", 0),
        ("register", 0),
        ("name", 0),
    ];
    // Function not found, no permission, not found, out of memory, no data, unknown error.
    for (call, lost) in calls {
        for code in [2, NOT_SUPPORTED, 4, 6, 10, 13, 17, 20, 21, 999] {
            // While the driver is open, unsupported calls are not repeated.
            gpus.wait_until_closed();
            gpus.command(&format!("error 0 {call} {code}"));
            let snapshot = GpuSnapshot::with_library(gpus.path());
            assert_eq!(snapshot.absence, None, "{call} {code}");
            assert_eq!(snapshot.devices[0].state, GpuState::Ok, "{call} {code}");
            assert_eq!(values(&snapshot), all - lost, "{call} {code}: {snapshot:?}");
            gpus.command(&format!("error 0 {call} 0"));
        }
    }
    gpus.wait_until_closed();
    assert_eq!(values(&GpuSnapshot::with_library(gpus.path())), all);
}

#[test]
fn p40_unsupported_calls_are_made_once() {
    let gpus = FakeGpus::new(2, "support");
    gpus.command(&format!("error 0 encoder {NOT_SUPPORTED}"));
    let sampled = Sampled::new(gpus.path());
    sampled.readings(&gpus, 5);
    assert_eq!(gpus.calls("encoder/0"), 1);
    assert!(gpus.calls("encoder/1") >= 5);
    assert_eq!(
        sampled.value("hw_gpu_utilization_ratio", &[("hw_name", "gpu/0"), ("hw_gpu_task", "encoder")]),
        None
    );
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn p40_a_device_that_fails_is_reported_and_recovers_while_others_work() {
    for (code, why) in [
        (LOST, "the GPU is lost"),
        (RESET_REQUIRED, "the GPU must be reset"),
        (999, "the GPU does not answer"),
    ] {
        let gpus = FakeGpus::new(2, &format!("broken{code}"));
        let sampled = Sampled::new(gpus.path());
        let (id, other) = (format!("GPU-broken{code}-0"), format!("GPU-broken{code}-1"));
        let (id, other) = (("hw_id", id.as_str()), ("hw_id", other.as_str()));
        sampled.until_value("hw_status_ratio", &[id, ("hw_state", "ok")], 1.0);

        gpus.command(&format!("error 0 all {code}"));
        sampled.until_value("hw_status_ratio", &[id, ("hw_state", "failed")], 1.0);
        assert_eq!(sampled.value("hw_temperature_celsius", &[id]), None, "a failed device has no values");
        gpus.command("set 1 temperature 70");
        sampled.until_value("hw_temperature_celsius", &[other], 70.0);
        let starts = gpus.calls("init");
        sampled.readings(&gpus, 8);
        let more = gpus.calls("init") - starts;
        assert!((1..=5).contains(&more), "the library is restarted with growing delays: {more} times");
        assert_eq!(sampled.value("hw_status_ratio", &[other, ("hw_state", "ok")]), Some(1.0));
        assert_eq!(logged().matches(why).count(), 1, "{}", logged());

        gpus.command("set 0 energy 6000000");
        gpus.command("error 0 all 0");
        sampled.until_value("hw_status_ratio", &[id, ("hw_state", "ok")], 1.0);
        sampled.until_value("hw_energy_joules_total", &[id], 6_000.0);
        sampled.until_value("hw_temperature_celsius", &[id], 61.0);
        assert_eq!(logged().matches("a GPU works again").count(), 1, "{}", logged());
        assert_eq!(sampled.failures(), 0.0, "a failed device is not a failure of the source");
    }
}

#[test]
fn p40_a_device_that_is_lost_from_the_start_is_reported() {
    let gpus = FakeGpus::new(2, "start");
    gpus.command(&format!("error 1 handle {LOST}"));
    let sampled = Sampled::new(gpus.path());
    // Its UUID is not known.
    sampled.until_value("hw_status_ratio", &[("hw_id", "gpu/1"), ("hw_state", "failed")], 1.0);
    gpus.command("error 1 handle 0");
    sampled.until_value("hw_status_ratio", &[("hw_id", "GPU-start-1"), ("hw_state", "ok")], 1.0);
    assert!(!sampled.text().contains("hw_id=\"gpu/1\""), "{}", sampled.text());
}

#[test]
fn p40_a_device_without_permission_is_not_reported() {
    let gpus = FakeGpus::new(2, "hidden");
    gpus.command("error 0 handle 4");
    let sampled = Sampled::new(gpus.path());
    sampled.until_value("hw_temperature_celsius", &[("hw_id", "GPU-hidden-1")], 61.0);
    sampled.readings(&gpus, 5);
    assert!(!sampled.text().contains("gpu/0"), "{}", sampled.text());
    assert_eq!((gpus.calls("init"), gpus.calls("handle/0")), (1, 1));
    assert_eq!((sampled.failures(), logged()), (0.0, String::new()));
}

#[test]
fn p40_a_removed_device_loses_its_series() {
    let gpus = FakeGpus::new(2, "unplugged");
    let sampled = Sampled::new(gpus.path());
    let id = ("hw_id", "GPU-unplugged-1");
    sampled.until_value("hw_temperature_celsius", &[id], 61.0);
    gpus.command("gpus 1 unplugged");
    sampled.until("end", |text| (!text.contains("GPU-unplugged-1")).then_some(()));
    sampled.until_value("hw_temperature_celsius", &[("hw_id", "GPU-unplugged-0")], 61.0);
    gpus.command("gpus 2 unplugged");
    sampled.until_value("hw_temperature_celsius", &[id], 61.0);
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn p40_counts_do_not_fall_when_the_driver_restarts() {
    let gpus = FakeGpus::new(1, "restart");
    gpus.command("set 0 replays 10");
    let sampled = Sampled::new(gpus.path());
    let id = ("hw_id", "GPU-restart-0");
    sampled.until_value("hw_energy_joules_total", &[id], 5_000.0);
    gpus.command("set 0 energy 2000");
    gpus.command("set 0 replays 1");
    gpus.command("restart");
    sampled.until_value("hw_energy_joules_total", &[id], 5_002.0);
    sampled.until_value("campanile_gpu_pcie_replays_total", &[id], 11.0);
    assert_eq!(sampled.failures(), 0.0);
    assert_eq!(gpus.calls("init"), 2);
}

#[test]
fn p40_a_removed_driver_is_a_failure_until_it_is_back() {
    let gpus = FakeGpus::new(1, "away");
    let sampled = Sampled::new(gpus.path());
    let id = ("hw_id", "GPU-away-0");
    sampled.until_value("hw_temperature_celsius", &[id], 61.0);
    gpus.command("error * init 9");
    gpus.command("restart");
    sampled.until("failure", |_| (sampled.failures() > 0.0).then_some(()));
    sampled.until("end", |text| (!text.contains("GPU-away-0")).then_some(()));
    assert_eq!(logged().matches("cannot read this source").count(), 1, "{}", logged());
    gpus.command("error * init 0");
    sampled.until_value("hw_temperature_celsius", &[id], 61.0);
}

#[test]
fn p40_a_hanging_call_blocks_only_its_thread() {
    let gpus = FakeGpus::new(1, "hangs");
    let sampled = Sampled::with(gpus.path(), |settings| settings.slow_every = Duration::from_secs(1));
    let id = ("hw_id", "GPU-hangs-0");
    sampled.until_value("hw_temperature_celsius", &[id], 61.0);
    gpus.command("hang power");
    sampled.until("failures", |_| (sampled.failures() >= 3.0).then_some(()));
    assert_eq!(threads(), 1);
    assert_eq!(sampled.value("hw_temperature_celsius", &[id]), None, "old values are not reported");
    assert_eq!(logged().matches("source=\"gpu\"").count(), 1, "{}", logged());
    // A snapshot starts no other thread, and only the first one waits.
    let snapshot = GpuSnapshot::with_library(gpus.path());
    assert!(snapshot.absence.is_some_and(|why| why.contains("not answered")));
    let again = GpuSnapshot::with_library(gpus.path());
    assert!(again.absence.is_some_and(|why| why.contains("earlier")));
    assert_eq!(threads(), 1);

    gpus.command("set 0 temperature 62");
    gpus.command("release");
    sampled.until_value("hw_temperature_celsius", &[id], 62.0);
    assert_eq!(gpus.calls("init"), 1);
}

#[test]
fn p40_a_sampler_stops_while_the_driver_hangs_and_closes_it_later() {
    let gpus = FakeGpus::new(1, "stops");
    let mut sampled = Sampled::new(gpus.path());
    sampled.until_value("hw_temperature_celsius", &[("hw_id", "GPU-stops-0")], 61.0);
    gpus.command("hang energy");
    let asked = gpus.calls("energy");
    sampled.until("hanging call", |_| (gpus.calls("energy") > asked).then_some(()));
    sampled.stop();
    gpus.command("release");
    sampled.until("end", |_| (gpus.command("started") == 0 && threads() == 0).then_some(()));
    assert!(!sampled.text().contains("GPU-stops-0"));
}

#[test]
fn p40_a_slow_driver_start_is_not_a_failure() {
    let gpus = FakeGpus::new(1, "patience");
    gpus.command("hang init");
    let sampled = Sampled::new(gpus.path());
    // The sampler waits one second for each reading.
    let readings = "campanile_sampler_duration_seconds";
    sampled.until("reading", |text| crate::support::value(text, readings, &[("source", "gpu")]));
    assert_eq!((sampled.failures(), threads()), (0.0, 1));
    gpus.command("release");
    sampled.until_value("hw_temperature_celsius", &[("hw_id", "GPU-patience-0")], 61.0);
    assert_eq!((sampled.failures(), gpus.calls("init")), (0.0, 1));
}

#[test]
fn p41_a_count_that_briefly_falls_is_not_a_reset() {
    let gpus = FakeGpus::new(1, "counts");
    gpus.command("set 0 corrected 40");
    let sampled = Sampled::new(gpus.path());
    let (id, energy) = (("hw_id", "GPU-counts-0"), "hw_energy_joules_total");
    sampled.until_value(energy, &[id], 5_000.0);
    gpus.command("xid 0 79");
    let failed = [id, ("hw_state", "failed")];
    sampled.until_value("hw_status_ratio", &failed, 1.0);
    for (change, back) in [
        ("set 0 energy 4999999", "set 0 energy 5000000"),
        ("set 0 energy 0", "set 0 energy 5000000"),
        ("set 0 energy 18446744073709551615", "set 0 energy 5000000"),
        ("set 0 corrected 0", "set 0 corrected 40"),
        ("set 0 corrected 39", "set 0 corrected 40"),
    ] {
        gpus.command(change);
        sampled.readings(&gpus, 5);
        for (metric, labels, wanted) in [
            (energy, vec![id], 5_000.0),
            ("hw_errors_total", vec![id, ("error_type", "corrected")], 40.0),
            ("hw_status_ratio", failed.to_vec(), 1.0),
        ] {
            let told = sampled.value(metric, &labels);
            // What is not a figure is not reported.
            let held =
                told == Some(wanted) || (metric == energy && change.ends_with("615") && told.is_none());
            assert!(held, "{change}: {metric} is {told:?}");
        }
        gpus.command(back);
        sampled.readings(&gpus, 2);
    }
    gpus.command("set 0 energy 5001000");
    sampled.until_value(energy, &[id], 5_001.0);
    assert_eq!(sampled.value("hw_status_ratio", &failed), Some(1.0), "the device was not reset");
    assert_eq!(sampled.value("campanile_gpu_xid_total", &[id, ("xid", "79")]), Some(1.0));
}
