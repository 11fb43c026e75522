//! Unusual machines: fake `/proc` files, mounts that hide others, no free file descriptor.
//!
//! What needs its own mount namespace says so where it cannot have one; the made-up trees in
//! `src/sampler/host` remain.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use campanile::Telemetry;
use campanile::health::{ReasonKind, Status};
use campanile::sampler::{SamplerSettings, SystemSnapshot};

use crate::schedule::until;

/// Set in the separate process of a test.
const OWN_PROCESS: &str = "CAMPANILE_TEST_ODD_MACHINE";

/// Whether this is the separate process of the test, after the shell script `prepare`. If not, starts it. `$ROOT` is an
/// empty folder for the script.
fn prepared(test: &str, namespace: bool, prepare: &str) -> bool {
    if std::env::var_os(OWN_PROCESS).is_some() {
        return true;
    }
    if namespace
        && !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success())
    {
        eprintln!("NOT RUN: {test} needs a mount namespace, which this machine does not allow");
        return false;
    }
    let root = tempfile::tempdir().unwrap();
    let script = format!("set -e\n{prepare}\nexec \"$0\" \"$@\"");
    let mut child = match namespace {
        true => Command::new("unshare"),
        false => Command::new("sh"),
    };
    if namespace {
        child.args(["-m", "sh"]);
    }
    let output = child
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(OWN_PROCESS, root.path())
        .env("ROOT", root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn pipeline(system: &str) -> Telemetry {
    let settings: SamplerSettings =
        serde_json::from_str(&format!(r#"{{"every": "100ms", "system": {system}}}"#)).unwrap();
    Telemetry::builder("test").variables(|_| None).prometheus().sampler(settings).build().unwrap()
}

/// The metrics as soon as `wanted` holds.
fn text(telemetry: &Telemetry, wanted: impl Fn(&str) -> bool) -> String {
    let found = until(|| Some(telemetry.prometheus_text()).filter(|text| wanted(text)));
    found.unwrap_or_else(|| panic!("the expected metrics did not appear: {}", telemetry.prometheus_text()))
}

/// The values of the series of `metric` whose labels contain these texts.
fn values(text: &str, metric: &str, labels: &[&str]) -> Vec<f64> {
    text.lines()
        .filter(|line| {
            line.split(['{', ' ']).next() == Some(metric) && labels.iter().all(|label| line.contains(label))
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

fn series(text: &str) -> BTreeSet<&str> {
    let own = |line: &&str| line.starts_with("system_") || line.starts_with("process_");
    text.lines().filter(own).filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

#[test]
fn p41_file_systems_are_those_of_df() {
    // A mount point with a blank, a mount that another one hides, a file system that is mounted twice, and one that is
    // reachable only through a single file.
    let prepare = r#"
        mkdir "$ROOT/with blank" "$ROOT/covered" "$ROOT/mounted twice" "$ROOT/away"
        mount -t tmpfs -o size=1m spaced "$ROOT/with blank"
        mount -t tmpfs -o size=2m below "$ROOT/covered"
        mkdir "$ROOT/covered/deep"
        mount -t tmpfs -o size=3m deeper "$ROOT/covered/deep"
        mount -t tmpfs -o size=4m above "$ROOT/covered"
        mkdir "$ROOT/covered/deep"
        mount --bind "$ROOT/with blank" "$ROOT/mounted twice"
        mount -t tmpfs -o size=5m file "$ROOT/away"
        echo text > "$ROOT/away/file"; : > "$ROOT/file"
        mount --bind "$ROOT/away/file" "$ROOT/file"
        umount -l "$ROOT/away"
    "#;
    if !prepared("odd_machine::p41_file_systems_are_those_of_df", true, prepare) {
        return;
    }
    let telemetry = pipeline(r#"{"file_system_types": ["*"]}"#);
    let text = text(&telemetry, |text| !values(text, "system_filesystem_limit_bytes", &[]).is_empty());
    let output = Command::new("df").args(["-P", "-B1"]).env("LC_ALL", "C").output().unwrap();
    let df = String::from_utf8(output.stdout).unwrap();
    let root = std::env::var(OWN_PROCESS).unwrap();
    // Compared by device, because any mount point of a file system may be reported.
    let device = |path: &str| fs::metadata(path).unwrap_or_else(|error| panic!("{path}: {error}")).dev();
    let mut theirs = BTreeSet::new();
    for line in df.lines().skip(1) {
        // The path may contain blanks.
        let place = line.find('%').map(|place| place + 1).unwrap();
        let numbers: Vec<f64> =
            line[..place].split_whitespace().filter_map(|word| word.parse().ok()).collect();
        theirs.insert((device(line[place..].trim()), numbers[0] as u64));
    }
    let mut ours = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("system_filesystem_limit_bytes{")) {
        let path = line.split("mountpoint=\"").nth(1).unwrap().split('"').next().unwrap();
        let size: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(ours.insert((device(path), size as u64)), "{path} is reported twice");
    }
    assert_eq!(ours, theirs, "{df}\n{text}");
    let sizes: Vec<u64> =
        ours.iter().map(|(_, size)| size >> 20).filter(|size| (1..=5).contains(size)).collect();
    assert_eq!(BTreeSet::from_iter(sizes), BTreeSet::from([1, 4, 5]));
    for path in ["with blank", "covered", "file"] {
        assert!(text.contains(&format!("mountpoint=\"{root}/{path}\"")), "{path} {text}");
    }
    // The snapshot contains local disks only, as by default.
    for file_system in SystemSnapshot::now().file_systems {
        assert!(theirs.contains(&(device(&file_system.mount_point), file_system.limit)), "{file_system:?}");
    }
}

#[test]
fn p40_odd_figures_and_a_missing_sys_affect_no_other_values() {
    // 97 % of the memory is in use, but free, cached and slab memory exceed the total. 512 processors. No `/sys`.
    let mut stat = String::from("cpu  51200 0 0 51200 0 0 0 0 0 0\\n");
    (0..512).for_each(|core| write!(stat, "cpu{core} 100 0 0 100 0 0 0 0 0 0\\n").unwrap());
    let prepare = format!(
        r#"
        printf 'MemTotal: 1000000 kB\nMemFree: 20000 kB\nMemAvailable: 30000 kB\nBuffers: 0 kB\nCached: 700000 kB\nSReclaimable: 900000 kB\nShmem: 0 kB\n' > "$ROOT/meminfo"
        printf '{stat}ctxt 1\nprocesses 7\n' > "$ROOT/stat"
        mount --bind "$ROOT/meminfo" /proc/meminfo
        mount --bind "$ROOT/stat" /proc/stat
        mount -t tmpfs none /sys
        "#
    );
    if !prepared("odd_machine::p40_odd_figures_and_a_missing_sys_affect_no_other_values", true, &prepare) {
        return;
    }
    let telemetry = pipeline(r#"{"by_core": true}"#);
    let all = text(&telemetry, |text| !values(text, "process_cpu_utilization_ratio", &[]).is_empty());
    assert_eq!(values(&all, "system_memory_utilization_ratio", &["\"used\""]), [0.97]);
    assert_eq!(values(&all, "system_cpu_logical", &[]), [512.0]);
    assert_eq!(values(&all, "system_cpu_time_seconds_total", &[]).len(), 512 * 7);
    assert!(!all.contains("otel_metric_overflow"));
    let health = telemetry.health();
    let host = until(|| {
        let snapshot = health.snapshot();
        snapshot.component("host").filter(|host| host.status != Status::Healthy).cloned()
    });
    let host = host.expect("a host without free memory");
    assert!(host.reasons.iter().any(|reason| reason.kind == ReasonKind::MemoryUsage), "{host:?}");

    // All processors are half busy, from each reading to the next: a slow scrape does not miss the one that says so.
    let root = std::env::var(OWN_PROCESS).unwrap();
    let ticks = std::cell::Cell::new(100);
    let all = text(&telemetry, |text| {
        let each = ticks.get() + 50;
        ticks.set(each);
        let mut busy = format!("cpu  {} 0 0 {} 0 0 0 0 0 0\n", each * 512, each * 512);
        (0..512).for_each(|core| writeln!(busy, "cpu{core} {each} 0 0 {each} 0 0 0 0 0 0").unwrap());
        fs::write(format!("{root}/stat"), busy).unwrap();
        values(text, "system_cpu_utilization_ratio", &["\"user\""]).contains(&0.5)
    });
    assert_eq!(values(&all, "system_cpu_utilization_ratio", &[]).len(), 512 * 7);

    // A failed file is named, and the other values are still reported.
    fs::write(format!("{root}/meminfo"), "MemTotal: lots kB\n").unwrap();
    let named = ["source=\"system\"", "part=\"/proc/meminfo\""];
    let all = text(&telemetry, |text| !values(text, "campanile_sampler_failures_total", &named).is_empty());
    assert!(!values(&all, "system_uptime_seconds", &[]).is_empty());
    assert_eq!(values(&all, "system_cpu_logical", &[]), [512.0]);
}

#[test]
fn p40_a_process_without_free_descriptors_is_still_sampled() {
    if !prepared(
        "odd_machine::p40_a_process_without_free_descriptors_is_still_sampled",
        false,
        "ulimit -n 128",
    ) {
        return;
    }
    let telemetry = pipeline("{}");
    let complete = |text: &str| {
        ["system_cpu_utilization_ratio", "process_cpu_utilization_ratio", "system_filesystem_limit_bytes"]
            .iter()
            .all(|metric| !values(text, metric, &[]).is_empty())
    };
    let before = text(&telemetry, complete);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    assert!(!taken.is_empty() && File::open("/proc/stat").is_err());
    let uptime =
        |text: &str| values(text, "process_uptime_seconds", &[]).first().copied().unwrap_or_default();
    let later = uptime(&before) + 2.0;
    let during = text(&telemetry, |text| uptime(text) > later);
    // Except the clock frequencies and the number of processes, which are read once a minute.
    let lost: Vec<_> = series(&before).difference(&series(&during)).copied().collect();
    assert_eq!(lost, [""; 0]);
    // The process may have inherited descriptors beyond the limit.
    assert!(
        values(&during, "process_unix_file_descriptor", &[]).iter().all(|open| *open >= 128.0),
        "{during}"
    );
    let failed = |text: &str| values(text, "campanile_sampler_failures_total", &[]).iter().sum::<f64>();
    assert_eq!(failed(&during), 0.0, "{during}");
    drop(telemetry);

    // A file that cannot be opened at the start is counted by its name, and read later.
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let telemetry = pipeline("{}");
    let named = ["source=\"process\"", "part=\"/proc/self/status\""];
    text(&telemetry, |text| !values(text, "campanile_sampler_failures_total", &named).is_empty());
    drop(taken);
    text(&telemetry, |text| !values(text, "process_memory_usage_bytes", &[]).is_empty());
}
