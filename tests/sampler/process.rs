//! Compares process metrics with `ps` and `/proc/self` under load.
//!
//! A counter must be between two readings of the kernel's own counter, before and after ours, without a tolerance. Other
//! values have a tolerance, because other tests may run in this process.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::SystemSnapshot;

const MIB: u64 = 1 << 20;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn field(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Seconds since this process started, and its minor and major faults.
fn stat() -> (f64, [f64; 2]) {
    let stat = read("/proc/self/stat");
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let machine: f64 = read("/proc/uptime").split(' ').next().unwrap().parse().unwrap();
    (machine - fields[19] / 100.0, [fields[7], fields[9]])
}

/// The processor time of this process.
fn own_time() -> f64 {
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The voluntary and involuntary context switches of the live threads.
fn switches() -> [u64; 2] {
    let mut sum = [0; 2];
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // The thread may have ended.
        if let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) {
            sum[0] += field(&status, "voluntary_ctxt_switches:");
            sum[1] += field(&status, "nonvoluntary_ctxt_switches:");
        }
    }
    sum
}

fn close(name: &str, ours: u64, theirs: u64, tolerance: u64) {
    assert!(ours.abs_diff(theirs) <= tolerance, "{name}: {ours} is not {theirs} ± {tolerance}");
}

/// The columns of `ps` for this process.
fn ps(columns: &str) -> Vec<u64> {
    let pid = std::process::id().to_string();
    let columns: Vec<String> = columns.split(',').map(|column| format!("{column}=")).collect();
    let output = Command::new("ps").args(["-o", &columns.join(","), "-p", &pid]).output();
    let output = output.expect("`ps` of procps is installed").stdout;
    String::from_utf8(output).unwrap().split_whitespace().map(|value| value.parse().unwrap()).collect()
}

/// The value of the series of `metric` whose labels contain `label`.
fn value(text: &str, metric: &str, label: &str) -> Option<f64> {
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(metric))
        .find(|line| line.contains(label))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn p41_memory_threads_and_files_agree_with_ps_and_proc() {
    if !crate::in_own_process("process::p41_memory_threads_and_files_agree_with_ps_and_proc") {
        return;
    }
    const THREADS: u64 = 50;
    const FILES: usize = 300;
    let before = SystemSnapshot::now().process.expect("this process");

    let memory = vec![1_u8; usize::try_from(256 * MIB).unwrap()];
    let files: Vec<File> = (0..FILES).map(|_| File::open("/dev/null").unwrap()).collect();
    let (up, down) = (Arc::new(Barrier::new(51)), Arc::new(Barrier::new(51)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (up, down) = (Arc::clone(&up), Arc::clone(&down));
            thread::spawn(move || {
                up.wait();
                down.wait();
            })
        })
        .collect();
    up.wait();

    let ours = SystemSnapshot::now().process.expect("this process");
    let theirs = ps("rss,vsz,nlwp,etimes");
    let (status, limits) = (read("/proc/self/status"), read("/proc/self/limits"));
    let listed = fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    down.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    // Other tests in this process allocate memory, open files and start threads too.
    close("resident", ours.memory.unwrap(), theirs[0] * 1_024, 16 * MIB);
    close("virtual", ours.memory_virtual.unwrap(), theirs[1] * 1_024, 512 * MIB);
    close("threads", ours.threads.unwrap(), theirs[2], 16);
    close("uptime", ours.uptime.unwrap().as_secs(), theirs[3], 2);
    close("peak", ours.memory_peak.unwrap(), field(&status, "VmHWM:") * 1_024, 16 * MIB);
    close("open files", ours.file_descriptors.unwrap(), listed, 32);
    assert_eq!(ours.file_descriptor_limit, Some(field(&limits, "Max open files")));
    // The values include the load.
    assert!(ours.memory.unwrap() >= before.memory.unwrap() + 200 * MIB, "{before:?} {ours:?}");
    assert!(ours.memory_peak.unwrap() >= ours.memory.unwrap().max(256 * MIB), "{ours:?}");
    assert!(ours.threads.unwrap() >= before.threads.unwrap() + THREADS - 16, "{before:?} {ours:?}");
    assert!(ours.file_descriptors.unwrap() + 32 >= before.file_descriptors.unwrap() + FILES as u64);

    // The peak does not fall when the memory is freed.
    drop((memory, files));
    let after = SystemSnapshot::now().process.expect("this process");
    assert!(after.memory.unwrap() + 200 * MIB <= ours.memory.unwrap(), "{ours:?} {after:?}");
    // The kernel adds up its counts per processor with a delay.
    assert!(after.memory_peak.unwrap() + MIB >= ours.memory_peak.unwrap(), "{ours:?} {after:?}");
}

#[test]
fn p41_disk_io_agrees_with_proc() {
    // Not in a `tmpfs`.
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Ok(before) = fs::read_to_string("/proc/self/io") else {
        assert_eq!(SystemSnapshot::now().process.unwrap().disk_written, None);
        return;
    };
    let first = SystemSnapshot::now().process.unwrap().disk_written.unwrap();
    file.write_all(&vec![7; usize::try_from(32 * MIB).unwrap()]).unwrap();
    file.sync_all().unwrap();
    let between = read("/proc/self/io");
    let ours = SystemSnapshot::now().process.unwrap();
    let after = read("/proc/self/io");
    assert!((field(&before, "write_bytes:")..=field(&between, "write_bytes:")).contains(&first));
    let written = field(&between, "write_bytes:")..=field(&after, "write_bytes:");
    assert!(written.contains(&ours.disk_written.unwrap()), "{ours:?} {written:?}");
    let read = field(&between, "read_bytes:")..=field(&after, "read_bytes:");
    assert!(read.contains(&ours.disk_read.unwrap()), "{ours:?} {read:?}");
}

#[test]
fn p41_counters_of_this_process_agree_with_proc() {
    if !crate::in_own_process("process::p41_counters_of_this_process_agree_with_proc") {
        return;
    }
    // A thread that ends: its 600 waits, each a context switch, and its half second of work must still count.
    let [asked, _] = switches();
    thread::spawn(|| (0..600).for_each(|_| thread::park_timeout(Duration::from_micros(50)))).join().unwrap();
    thread::spawn(|| {
        let started = own_time();
        let mut sum = 0_u64;
        while own_time() - started < 0.5 {
            (0..200_000_u64).for_each(|number| sum = std::hint::black_box(sum.wrapping_add(number)));
        }
    })
    .join()
    .unwrap();

    let telemetry =
        Telemetry::builder("test").prometheus().system(Duration::from_millis(100)).build().unwrap();
    let (before, faults_before) = stat();
    let (time_before, switches_before) = (own_time(), switches());
    // A reading after that moment. The share needs two readings.
    let fresh = |text: &String| {
        value(text, "process_uptime_seconds", "").is_some_and(|uptime| uptime > before + 0.02)
            && value(text, "process_cpu_utilization_ratio", "user").is_some()
    };
    let text = (0..3_000).find_map(|_| {
        thread::park_timeout(Duration::from_millis(10));
        Some(telemetry.prometheus_text()).filter(fresh)
    });
    let text = text.unwrap_or_else(|| panic!("there was no reading: {}", telemetry.prometheus_text()));
    let (after, faults_after) = stat();
    let time_after = own_time();

    let of = |metric: &str, label: &str| {
        value(&text, metric, label).unwrap_or_else(|| panic!("no {metric} of {label} in {text}"))
    };
    let uptime = of("process_uptime_seconds", "");
    assert!((before - 0.02..=after + 0.02).contains(&uptime), "{before} {uptime} {after}");
    for (kind, label) in ["minor", "major"].into_iter().enumerate() {
        let faults = of("process_paging_faults_total", &format!("system_paging_fault_type=\"{label}\""));
        let range = faults_before[kind]..=faults_after[kind];
        assert!(range.contains(&faults), "{label} faults: {faults} is not in {range:?}");
    }
    let mode = |mode: &str| of("process_cpu_time_seconds_total", &format!("cpu_mode=\"{mode}\""));
    let time = mode("user") + mode("system");
    // The kernel rounds each mode to hundredths.
    assert!((time_before - 0.02..=time_after + 0.02).contains(&time), "{time_before} {time} {time_after}");
    let asked_now = of("process_context_switches_total", "process_context_switch_type=\"voluntary\"");
    // The switches of the ended thread count, although no file of a thread contains them.
    assert!(asked_now >= (switches_before[0] + 500) as f64, "{asked_now} {switches_before:?} {asked}");
    of("process_context_switches_total", "process_context_switch_type=\"involuntary\"");
    let share = |mode: &str| of("process_cpu_utilization_ratio", &format!("cpu_mode=\"{mode}\""));
    assert!((0.0..=1.0 + 1e-9).contains(&(share("user") + share("system"))));
    // The exporter removes the suffix `_count`.
    for metric in ["process_thread", "process_unix_file_descriptor"] {
        assert!(of(metric, "") >= 1.0, "{metric}");
    }
    assert!(of("campanile_process_memory_peak_bytes", "") >= of("process_memory_usage_bytes", ""));
}
