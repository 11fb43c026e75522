//! Values that are read at a longer interval.

use std::time::Duration;

use crate::fake_gpus::FakeGpus;
use crate::support::Sampled;

fn gpus(prefix: &str) -> FakeGpus {
    let gpus = FakeGpus::new(2, prefix);
    for command in [
        "set 0 fans 2",
        "set 0 links 12",
        "set 0 field/38 3",
        "set 0 field/52 4",
        "set 0 sent 1000",
        "set 0 received 2000",
        "set 0 process_memory 1048576",
        "error 1 sent 3",
        "error 1 received 3",
    ] {
        gpus.command(command);
    }
    gpus
}

#[test]
fn p41_fans_links_and_throughput_have_their_own_interval() {
    let gpus = gpus("slow");
    let sampled = Sampled::with(gpus.path(), |settings| settings.slow_every = Duration::from_secs(1));
    let id = ("hw_id", "GPU-slow-0");
    sampled.until_value("campanile_gpu_nvlink_links", &[id, ("state", "up")], 11.0);
    let io = ("network_io_direction", "receive");
    // The first reading starts the sum at zero.
    let bytes = sampled.until("throughput", |text| {
        crate::support::value(text, "hw_gpu_io_bytes_total", &[id, io]).filter(|bytes| *bytes > 0.0)
    });
    let text = sampled.text();
    let value = |metric: &str, labels: &[(&str, &str)]| crate::support::value(&text, metric, labels);
    // 2,000 kB/s times the time since the previous reading.
    assert!((500_000.0..20_000_000.0).contains(&bytes), "{bytes}");
    assert_eq!(value("campanile_gpu_nvlink_links", &[id, ("state", "down")]), Some(1.0));
    let errors = |kind| value("hw_errors_total", &[id, ("error_type", kind)]);
    assert_eq!((errors("nvlink.crc_flit"), errors("nvlink.replay")), (Some(3.0), Some(4.0)));
    let fan = [("hw_id", "GPU-slow-0/fan/1"), ("hw_name", "gpu/0/fan/1"), ("hw_parent", "GPU-slow-0")];
    assert_eq!(value("hw_fan_speed_ratio_ratio", &fan).or(value("hw_fan_speed_ratio", &fan)), Some(0.4));
    // The other GPU does not support these calls.
    for metric in ["hw_gpu_io_bytes_total", "campanile_gpu_nvlink_links"] {
        assert_eq!(value(metric, &[("hw_id", "GPU-slow-1")]), None, "{metric}");
    }
    assert_eq!(gpus.calls("sent/1"), 1, "a call that is not supported is not repeated");
    assert_eq!(gpus.calls("processes"), 0, "the setting is off");
    assert!(gpus.calls("fan/0") < gpus.calls("temperature/0"));
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn p41_the_gpu_memory_of_this_process_is_reported_if_enabled() {
    let gpus = gpus("processes");
    let sampled = Sampled::with(gpus.path(), |settings| {
        settings.slow_every = Duration::from_secs(1);
        settings.processes = true;
    });
    let id = ("hw_id", "GPU-processes-0");
    sampled.until_value("campanile_gpu_process_memory_bytes", &[id], 1_048_576.0);
}
