//! A real GPU: what the sampler reports, beside `nvidia-smi` at the same moment.
//!
//! `CAMPANILE_GPU_LOAD` may be a command that keeps the GPU busy meanwhile. Without an NVIDIA GPU the test prints that
//! and passes.

#![cfg(campanile_gpu_live)]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use campanile::sampler::{GpuDevice, GpuSettings, GpuSnapshot, Sampler, SamplerSettings};

const ROUNDS: usize = 10;
const MIB: f64 = 1_048_576.0;

/// A value: its name in `nvidia-smi`, our value in the same unit, and the tolerance, because it changes between calls.
type Figure = (&'static str, fn(&GpuDevice) -> Option<f64>, f64);

const FIGURES: [Figure; 10] = [
    ("utilization.gpu", |device| Some(device.utilization? * 100.0), 30.0),
    ("memory.total", |device| Some(device.memory?.limit as f64 / MIB), 1.0),
    ("memory.used", |device| Some(device.memory?.used as f64 / MIB), 256.0),
    ("temperature.gpu", |device| device.temperature, 3.0),
    ("power.draw", |device| device.power, 60.0),
    ("enforced.power.limit", |device| device.power_limit, 1.0),
    ("clocks.gr", |device| megahertz(device.clocks.graphics), 200.0),
    ("clocks.sm", |device| megahertz(device.clocks.sm), 200.0),
    ("clocks.mem", |device| megahertz(device.clocks.memory), 200.0),
    ("clocks.video", |device| megahertz(device.clocks.video), 200.0),
];

fn megahertz(hertz: Option<u64>) -> Option<f64> {
    hertz.map(|hertz| hertz as f64 / 1e6)
}

/// Killed at the end of the test.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The values of `nvidia-smi` by UUID; `None` if it does not run.
fn nvidia_smi() -> Option<BTreeMap<String, Vec<Option<f64>>>> {
    let names: Vec<_> = FIGURES.iter().map(|(name, ..)| *name).collect();
    let output = Command::new("nvidia-smi")
        .arg(format!("--query-gpu=uuid,{}", names.join(",")))
        .arg("--format=csv,noheader,nounits")
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let line = |line: &str| {
        let mut fields = line.split(", ");
        let uuid = fields.next()?.to_owned();
        Some((uuid, fields.map(|field| field.trim().parse().ok()).collect()))
    };
    text.lines().map(line).collect()
}

#[test]
fn p41_a_real_gpu_agrees_with_nvidia_smi() {
    if nvidia_smi().is_none_or(|gpus| gpus.is_empty()) {
        eprintln!("NOT RUN: this machine has no NVIDIA GPU");
        return;
    }
    let _load = std::env::var("CAMPANILE_GPU_LOAD").ok().map(|command| {
        let mut shell = Command::new("sh");
        // `exec`, so that the command itself is killed and not only the shell.
        shell.arg("-c").arg(format!("exec {command}")).stdout(Stdio::null());
        Load(shell.spawn().expect("the load command starts"))
    });
    // The sampler keeps the driver open, as in a service.
    let mut settings = SamplerSettings::default();
    settings.every = Duration::from_secs(1);
    let mut gpu = GpuSettings::default();
    (gpu.slow_every, gpu.processes) = (Duration::from_secs(1), true);
    settings.gpu = Some(gpu);
    settings.system = None;
    let _sampler = Sampler::from_settings(&settings).unwrap();
    let telemetry = campanile::Telemetry::builder("live").prometheus().build().unwrap();
    let there = (0..600).any(|_| {
        std::thread::park_timeout(Duration::from_millis(100));
        telemetry.prometheus_text().contains("hw_status")
    });
    assert!(there, "{}", telemetry.prometheus_text());

    let mut mismatches = Vec::new();
    println!("| GPU | figure | before | nvidia-smi | after |\n|---|---|---|---|---|");
    for round in 0..ROUNDS {
        let before = GpuSnapshot::now();
        let theirs = nvidia_smi().expect("`nvidia-smi` ran before");
        let after = GpuSnapshot::now();
        assert_eq!(before.absence, None);
        let whole =
            |snapshot: &GpuSnapshot| snapshot.devices.iter().filter(|device| device.parent.is_none()).count();
        assert_eq!(whole(&before), theirs.len(), "all GPUs, and no more");
        for (uuid, values) in &theirs {
            let of = |snapshot: &GpuSnapshot| {
                snapshot.devices.iter().find(|device| *device.id == **uuid).cloned().expect("the same UUIDs")
            };
            let (before, after) = (of(&before), of(&after));
            for ((name, ours, tolerance), theirs) in FIGURES.iter().zip(values) {
                let (before, after) = (ours(&before), ours(&after));
                if round == ROUNDS - 1 {
                    println!("| {uuid} | {name} | {before:?} | {theirs:?} | {after:?} |");
                }
                match (before, *theirs, after) {
                    (Some(before), Some(theirs), Some(after)) => {
                        let range = before.min(after) - tolerance..=before.max(after) + tolerance;
                        if !range.contains(&theirs) {
                            mismatches.push(format!("{uuid} {name}: {theirs} is not in {range:?}"));
                        }
                    }
                    (None, None, None) => {}
                    other => mismatches.push(format!("{uuid} {name}: {other:?}")),
                }
            }
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let took = telemetry.prometheus_text();
    for line in took.lines().filter(|line| line.starts_with("campanile_sampler_duration_seconds{")) {
        println!("{line}");
    }
    // A few values may change between the calls.
    assert!(mismatches.len() <= ROUNDS / 5, "{mismatches:#?}");
}
