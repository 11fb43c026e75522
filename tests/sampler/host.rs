//! Compares host metrics with `/proc`, `df`, `ip` and `ps` under load.
//!
//! A counter must be between two readings of the system's own counter, before and after ours, without a tolerance. Other
//! values have a tolerance, because other processes run on this machine.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::process::Command;
use std::thread;
use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::{Sampler, SamplerSettings, SystemSnapshot};
use serde_json::Value;

use crate::in_own_process;

const MIB: f64 = 1_048_576.0;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The numbers of the line that begins with `key`.
fn numbers(text: &str, key: &str) -> Vec<f64> {
    let line = text.lines().find(|line| line.split([' ', ':']).find(|part| !part.is_empty()) == Some(key));
    let line = line.unwrap_or_else(|| panic!("no {key} in {text}"));
    line.split([' ', ':']).filter_map(|part| part.parse().ok()).collect()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{program} must be installed: {error}"));
    String::from_utf8(output.stdout).unwrap()
}

fn held(name: &str, ours: f64, before: f64, after: f64) {
    within(name, ours, before, after, 0.0);
}

fn within(name: &str, ours: f64, before: f64, after: f64, tolerance: f64) {
    // Rounding of sums and units.
    let tolerance = tolerance + before.max(after).abs() * 1e-9;
    let range: RangeInclusive<f64> = before.min(after) - tolerance..=before.max(after) + tolerance;
    assert!(range.contains(&ours), "{name}: {ours} is not in {range:?}");
}

/// A sampler that reads the machine ten times a second, and a pipeline that shows its values.
struct SampledHost {
    telemetry: Telemetry,
    _sampler: Sampler,
}

impl SampledHost {
    fn with(system: &str) -> Self {
        let text = format!(r#"{{"every": "100ms", "system": {system}}}"#);
        let settings: SamplerSettings = serde_json::from_str(&text).unwrap();
        let sampler = Sampler::from_settings(&settings).unwrap();
        let telemetry = Telemetry::builder("test").variables(|_| None).prometheus().build().unwrap();
        Self { telemetry, _sampler: sampler }
    }

    /// The values as soon as `wanted` holds.
    fn until(&self, wanted: impl Fn(&Values) -> bool) -> Values {
        let mut text = String::new();
        for _ in 0..3_000 {
            text = self.telemetry.prometheus_text();
            let values = Values(text);
            if wanted(&values) {
                return values;
            }
            text = values.0;
            thread::park_timeout(Duration::from_millis(10));
        }
        panic!("the expected metrics did not appear: {text}")
    }

    /// Values of a reading that begins after this call.
    fn fresh(&self) -> Values {
        let later = |than: f64| {
            // Shares need two readings.
            let values = self.until(|values| {
                values.get("system_uptime", &[]).is_some_and(|seen| seen > than)
                    && values.get("system_cpu_utilization", &[]).is_some()
            });
            (values.of("system_uptime", &[]), values)
        };
        // The first reading may have begun before this call.
        let (first, _) = later(uptime());
        later(first).1
    }
}

fn uptime() -> f64 {
    read("/proc/uptime").split(' ').next().unwrap().parse().unwrap()
}

struct Values(String);

impl Values {
    fn series<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.starts_with(metric) && !line.starts_with('#')).then(|| (series, value.parse().unwrap()))
        })
    }

    fn get(&self, metric: &str, labels: &[&str]) -> Option<f64> {
        self.series(metric)
            .find(|(series, _)| labels.iter().all(|label| series.contains(&format!("=\"{label}\""))))
            .map(|(_, value)| value)
    }

    fn of(&self, metric: &str, labels: &[&str]) -> f64 {
        self.get(metric, labels).unwrap_or_else(|| panic!("no {metric} of {labels:?} in {}", self.0))
    }

    /// The distinct values of a label.
    fn labels(&self, metric: &str, label: &str) -> Vec<String> {
        let mark = format!("{label}=\"");
        let mut found: Vec<_> = self
            .series(metric)
            .filter_map(|(series, _)| series.split_once(&mark)?.1.split('"').next())
            .map(str::to_owned)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Keeps all processors busy until it is dropped.
struct Burner(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Burner {
    fn start() -> Self {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        for _ in 0..thread::available_parallelism().unwrap().get() {
            let stop = std::sync::Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Self(stop)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

const MODES: [&str; 7] = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];

/// The processor time by mode in a line of `/proc/stat`, in hundredths of a second.
fn modes(line: &str) -> [f64; 7] {
    let times = numbers(&read("/proc/stat"), line);
    [times[0], times[1], times[2], times[3], times[4], times[5] + times[6], times[7]]
}

#[test]
fn p41_processor_time_agrees_with_proc_while_all_compute() {
    if !in_own_process("host::p41_processor_time_agrees_with_proc_while_all_compute") {
        return;
    }
    let burner = Burner::start();
    let before = modes("cpu");
    let sampled = SampledHost::with("{}");
    let values = sampled.fresh();
    let after = modes("cpu");
    for (place, mode) in MODES.into_iter().enumerate() {
        let ours = values.of("system_cpu_time_seconds", &[mode]);
        // The kernel's `iowait` may decrease.
        let tolerance = if mode == "iowait" { 5.0 } else { 0.001 };
        within(mode, ours, before[place] / 100.0, after[place] / 100.0, tolerance);
    }
    let shares: f64 = MODES.iter().map(|mode| values.of("system_cpu_utilization", &[mode])).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    assert!(values.labels("system_cpu", "cpu_logical_number").is_empty());
    drop((burner, sampled));

    // Shares of modes between two snapshots.
    let burner = Burner::start();
    let _ = SystemSnapshot::now();
    let before = modes("cpu");
    while modes("cpu").iter().sum::<f64>() < before.iter().sum::<f64>() + 200.0 {
        thread::park_timeout(Duration::from_millis(20));
    }
    let snapshot = SystemSnapshot::now();
    let after = modes("cpu");
    let cpu = snapshot.cpu.expect("two readings");
    let ours = [cpu.user, cpu.nice, cpu.system, cpu.idle, cpu.iowait, cpu.interrupt, cpu.steal];
    let passed = |place: usize| after[place] - before[place];
    let all: f64 = (0..7).map(passed).sum();
    for (place, mode) in MODES.into_iter().enumerate() {
        within(mode, ours[place], passed(place) / all, passed(place) / all, 0.1);
    }
    assert_eq!(snapshot.cpu_utilization, Some(cpu.busy()));
    drop(burner);
}

#[test]
fn p41_each_core_agrees_with_proc_and_the_whole_is_their_sum() {
    if !in_own_process("host::p41_each_core_agrees_with_proc_and_the_whole_is_their_sum") {
        return;
    }
    let before = modes("cpu0");
    let sampled = SampledHost::with(r#"{"by_core": true}"#);
    let values = sampled.fresh();
    let after = modes("cpu0");
    for (place, mode) in MODES.into_iter().enumerate() {
        let ours = values.of("system_cpu_time_seconds", &[mode, "0"]);
        let tolerance = if matches!(mode, "iowait" | "idle") { 5.0 } else { 0.001 };
        within(mode, ours, before[place] / 100.0, after[place] / 100.0, tolerance);
    }
    let online = read("/proc/stat").lines().filter(|line| line.starts_with("cpu")).count() - 1;
    assert_eq!(values.labels("system_cpu_time_seconds", "cpu_logical_number").len(), online);
    assert_eq!(values.series("system_cpu_time_seconds").count(), online * 7, "no processor is counted twice");
    assert_eq!(values.of("system_cpu_logical", &[]), online as f64);
}

#[test]
fn p41_memory_and_paging_agree_with_proc_while_memory_is_taken() {
    if !in_own_process("host::p41_memory_and_paging_agree_with_proc_while_memory_is_taken") {
        return;
    }
    let sampled = SampledHost::with("{}");
    let (meminfo, vmstat, stat) = (read("/proc/meminfo"), read("/proc/vmstat"), read("/proc/stat"));
    let taken = vec![1_u8; 256 << 20];
    let values = sampled.fresh();
    let (meminfo_after, vmstat_after, stat_after) =
        (read("/proc/meminfo"), read("/proc/vmstat"), read("/proc/stat"));
    assert_eq!(std::hint::black_box(&taken)[4_096], 1);

    let kib = |text: &str, key: &str| numbers(text, key)[0] * 1_024.0;
    let limit = kib(&meminfo, "MemTotal");
    assert_eq!(values.of("system_memory_limit", &[]), limit);
    let near = |name: &str, ours: f64, of: &dyn Fn(&str) -> f64| {
        within(name, ours, of(&meminfo), of(&meminfo_after), 128.0 * MIB);
    };
    let free = |column: usize| numbers(&run("free", &["-b", "-w"]), "Mem")[column];
    let (used_before, used_by_free) = (limit - kib(&meminfo, "MemAvailable"), free(1));
    let cached = |text: &str| kib(text, "MemAvailable") - kib(text, "MemFree") - kib(text, "Buffers");
    let usage = |state: &str| values.of("system_memory_usage", &[state]);
    near("free", usage("free"), &|text| kib(text, "MemFree"));
    near("buffers", usage("buffers"), &|text| kib(text, "Buffers"));
    near("cached", usage("cached"), &cached);
    within("used as in `free`", usage("used"), used_before, used_by_free, 128.0 * MIB);
    near("available", values.of("system_memory_linux_available", &[]), &|text| kib(text, "MemAvailable"));
    near("shared", values.of("system_memory_linux_shared", &[]), &|text| kib(text, "Shmem"));
    let states = ["used", "free", "buffers", "cached"];
    assert_eq!(states.iter().map(|state| usage(state)).sum::<f64>(), limit);
    let swap = kib(&meminfo, "SwapTotal");
    let ours: f64 = values.series("system_paging_usage").map(|(_, bytes)| bytes).sum();
    assert_eq!(ours, swap, "the sum is the swap space; without swap there are no series");

    let major = |text: &str| numbers(text, "pgmajfault")[0];
    let minor = |text: &str| numbers(text, "pgfault")[0] - major(text);
    held("major", values.of("system_paging_faults", &["major"]), major(&vmstat), major(&vmstat_after));
    held("minor", values.of("system_paging_faults", &["minor"]), minor(&vmstat), minor(&vmstat_after));
    for (direction, key) in [("in", "pswpin"), ("out", "pswpout")] {
        let (before, after) = (numbers(&vmstat, key)[0], numbers(&vmstat_after, key)[0]);
        held(key, values.of("system_paging_operations", &[direction]), before, after);
    }
    let created = |text: &str| numbers(text, "processes")[0];
    held("created", values.of("system_process_created", &[]), created(&stat), created(&stat_after));
}

#[test]
fn p41_load_and_pressure_agree_with_proc() {
    if !in_own_process("host::p41_load_and_pressure_agree_with_proc") {
        return;
    }
    let sampled = SampledHost::with("{}");
    let load =
        || read("/proc/loadavg").split(' ').take(3).map(|load| load.parse().unwrap()).collect::<Vec<f64>>();
    // Some kernels have the files but do not allow reading them.
    let pressure = |resource: &str, share: &str| {
        let text = fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?;
        let line = text.lines().find(|line| line.starts_with(share))?;
        line.rsplit_once('=')?.1.parse::<f64>().ok().map(|micros| micros / 1e6)
    };
    let shares = [("cpu", "some"), ("io", "some"), ("io", "full"), ("memory", "some"), ("memory", "full")];
    let (load_before, before) = (load(), shares.map(|(resource, share)| pressure(resource, share)));
    let values = sampled.fresh();
    let (load_after, after) = (load(), shares.map(|(resource, share)| pressure(resource, share)));
    for (place, period) in ["1m", "5m", "15m"].into_iter().enumerate() {
        let ours = values.of("campanile_system_load", &[period]);
        within(period, ours, load_before[place], load_after[place], 0.01);
    }
    for (place, (resource, share)) in shares.into_iter().enumerate() {
        let ours = values.get("campanile_pressure_time", &["system", resource, share]);
        match (before[place], after[place]) {
            (Some(before), Some(after)) => held(resource, ours.expect(resource), before, after),
            _ => assert_eq!(ours, None, "{resource}"),
        }
    }
    assert_eq!(values.get("campanile_pressure_time", &["system", "cpu", "full"]), None);
}

#[test]
fn p41_disks_agree_with_proc_while_a_file_is_written() {
    if !in_own_process("host::p41_disks_agree_with_proc_while_a_file_is_written") {
        return;
    }
    let sampled = SampledHost::with("{}");
    sampled.until(|values| values.get("system_uptime", &[]).is_some());
    let before = read("/proc/diskstats");
    // Not in a `tmpfs`.
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(&vec![7; 32 << 20]).unwrap();
    file.sync_all().unwrap();
    let between = read("/proc/diskstats");
    // `sda 1 2 3 …`, without the two device numbers.
    let of = |text: &str, disk: &str| {
        let line = text.lines().find(|line| line.split_whitespace().nth(2) == Some(disk)).unwrap();
        line.split_whitespace().skip(3).map(|field| field.parse().unwrap()).collect::<Vec<f64>>()
    };
    let read_once = sampled.until(|values| values.get("campanile_sampler_duration", &["disk"]).is_some());
    let disks = read_once.labels("system_disk_io_bytes", "system_device");
    let written = |text: &str| disks.iter().map(|disk| of(text, disk)[6] * 512.0).sum::<f64>();
    if disks.is_empty() || written(&between) - written(&before) < 32.0 * MIB {
        eprintln!("NOT RUN: the files of this test are on none of the disks {disks:?}");
    }
    let enough = written(&between);
    let values = sampled.until(|values| {
        disks.iter().map(|disk| values.of("system_disk_io_bytes", &["write", disk])).sum::<f64>() >= enough
    });
    let after = read("/proc/diskstats");
    for disk in &disks {
        let (before, after) = (of(&before, disk), of(&after, disk));
        for (metric, direction, place, unit) in [
            ("system_disk_operations", "read", 0, 1.0),
            ("system_disk_merged", "read", 1, 1.0),
            ("system_disk_io_bytes", "read", 2, 512.0),
            ("system_disk_operation_time", "read", 3, 0.001),
            ("system_disk_operations", "write", 4, 1.0),
            ("system_disk_merged", "write", 5, 1.0),
            ("system_disk_io_bytes", "write", 6, 512.0),
            ("system_disk_operation_time", "write", 7, 0.001),
        ] {
            let ours = values.of(metric, &[direction, disk]);
            within(metric, ours, before[place] * unit, after[place] * unit, unit / 2.0);
        }
        let ours = values.of("system_disk_io_time", &[disk]);
        within("io_time", ours, before[9] / 1e3, after[9] / 1e3, 0.0005);
    }
    let snapshot = SystemSnapshot::now().disks.expect("/proc/diskstats");
    assert_eq!(snapshot.disks, disks.len());
    held("snapshot", snapshot.written as f64, written(&after), written(&read("/proc/diskstats")));
}

#[test]
fn p41_file_systems_agree_with_df_while_a_file_grows() {
    if !in_own_process("host::p41_file_systems_agree_with_df_while_a_file_grows") {
        return;
    }
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(&vec![7; 64 << 20]).unwrap();
    file.sync_all().unwrap();
    let df = || run("df", &["-B1", "--output=size,used,avail,fstype,target"]);
    let before = df();
    let sampled = SampledHost::with("{}");
    let values = sampled.until(|values| values.get("system_filesystem_limit", &[]).is_some());
    let after = df();
    let of = |text: &str, mount_point: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.split_whitespace().nth(4) == Some(mount_point));
        let line = line.unwrap_or_else(|| panic!("{mount_point} is not in {text}"));
        line.split_whitespace().take(3).map(|bytes| bytes.parse().unwrap()).collect()
    };
    let found = values.labels("system_filesystem_limit", "system_filesystem_mountpoint");
    assert!(found.contains(&"/".to_owned()), "{found:?}");
    for mount_point in &found {
        let (before, after) = (of(&before, mount_point), of(&after, mount_point));
        held(mount_point, values.of("system_filesystem_limit", &[mount_point]), before[0], after[0]);
        for (state, place) in [("used", 1), ("free", 2)] {
            let ours = values.of("system_filesystem_usage", &[mount_point, state]);
            within(state, ours, before[place], after[place], 64.0 * MIB);
        }
        let states: f64 = ["used", "free", "reserved"]
            .iter()
            .map(|state| values.of("system_filesystem_usage", &[mount_point, state]))
            .sum();
        assert_eq!(states, before[0], "{mount_point}");
        let share = |of: &[f64]| of[1] / (of[1] + of[2]);
        let ours = values.of("system_filesystem_utilization", &[mount_point, "used"]);
        within("share", ours, share(&before), share(&after), 0.01);
    }
    for kind in values.labels("system_filesystem_limit", "system_filesystem_type") {
        assert!(
            !matches!(&*kind, "proc" | "sysfs" | "tmpfs" | "devtmpfs" | "cgroup2" | "squashfs"),
            "{kind}"
        );
    }
    let snapshot = SystemSnapshot::now().file_systems;
    assert_eq!(snapshot.len(), found.len());
    for file_system in snapshot {
        let df = of(&after, &file_system.mount_point);
        assert_eq!(file_system.limit as f64, df[0]);
        within("share", file_system.utilization(), df[1] / (df[1] + df[2]), df[1] / (df[1] + df[2]), 0.01);
    }
}

/// The statistics of all interfaces by `ip`.
fn links() -> Value {
    serde_json::from_str(&run("ip", &["-json", "-stats", "-stats", "link"]))
        .expect("`ip` of iproute2 is installed")
}

fn link(links: &Value, name: &str, direction: &str) -> [f64; 4] {
    let link = links.as_array().unwrap().iter().find(|link| link["ifname"] == name).expect(name);
    let counts = &link["stats64"][direction];
    let of = |key: &str| counts[key].as_f64().unwrap_or_default();
    // `/proc` counts missed packets as dropped.
    [of("bytes"), of("packets"), of("errors"), of("dropped") + of("missed_errors")]
}

#[test]
fn p41_interfaces_agree_with_ip_while_loopback_is_busy() {
    if !in_own_process("host::p41_interfaces_agree_with_ip_while_loopback_is_busy") {
        return;
    }
    const SENT: usize = 16 << 20;
    let sampled = SampledHost::with(r#"{"interfaces": ["lo"]}"#);
    let before = links();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
        all.len()
    });
    to.write_all(&vec![1; SENT]).unwrap();
    drop(to);
    assert_eq!(reader.join().unwrap(), SENT);
    let enough = link(&before, "lo", "rx")[0] + SENT as f64;
    let values = sampled.until(|values| {
        values.get("system_network_io", &["lo", "receive"]).is_some_and(|bytes| bytes >= enough)
    });
    let after = links();
    let found = values.labels("system_network_io", "network_interface_name");
    for name in &found {
        for (direction, theirs) in [("receive", "rx"), ("transmit", "tx")] {
            let (before, after) = (link(&before, name, theirs), link(&after, name, theirs));
            for (place, metric) in [
                "system_network_io_bytes",
                "system_network_packet_count",
                "system_network_errors",
                "system_network_packet_dropped",
            ]
            .into_iter()
            .enumerate()
            {
                held(metric, values.of(metric, &[name, direction]), before[place], after[place]);
            }
        }
    }
    drop(sampled);

    let sampled = SampledHost::with("{}");
    let values = sampled.fresh();
    let by_default = values.labels("system_network_io", "network_interface_name");
    assert_eq!(by_default, found.into_iter().filter(|name| name != "lo").collect::<Vec<_>>());
    let network = SystemSnapshot::now().network.expect("/proc/net/dev");
    assert_eq!(network.interfaces, by_default.len());
}

#[test]
fn p41_the_number_of_processes_agrees_with_ps() {
    if !in_own_process("host::p41_the_number_of_processes_agrees_with_ps") {
        return;
    }
    let count = || run("ps", &["-e", "-o", "pid="]).lines().count() as f64;
    let before = count();
    let sampled = SampledHost::with("{}");
    // The exporter removes the suffix `_count`.
    let ours = |values: &Values| {
        let mut found = values.series("system_process").filter(|(series, _)| *series == "system_process");
        found.next().map(|(_, processes)| processes)
    };
    let values =
        sampled.until(|values| ours(values).is_some() && values.get("system_cpu_logical", &[]).is_some());
    within("processes", ours(&values).unwrap(), before, count(), 32.0);
    // Not every machine reports cores and clock frequencies.
    if let Some(cores) = values.get("system_cpu_physical", &[]) {
        assert!((1.0..=values.of("system_cpu_logical", &[])).contains(&cores), "{cores}");
    }
    for (_, hertz) in values.series("system_cpu_frequency") {
        assert!((1e8..1e10).contains(&hertz), "{hertz}");
    }
}
