//! What the sampler asks the system for, and when: the system calls of a separate process, by `strace`.

use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs, thread};

use campanile::Telemetry;
use tokio::time::Instant;

use crate::support::tool;

/// Set in the process that is traced.
const TRACED: &str = "CAMPANILE_TEST_TRACED";
/// Much longer than each step takes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Files that do not exist. Opening one marks a place in the trace.
const BEGIN: &str = "/campanile/collects";
const END: &str = "/campanile/has-collected";
/// System calls of the allocator and of contended locks. They read nothing, so collecting may make them.
const ALLOWED: &[&str] = &["brk", "mmap", "munmap", "mremap", "madvise", "mprotect", "futex"];

/// A line of `strace -f`: `1234 openat(AT_FDCWD, "/proc/stat", O_RDONLY|O_CLOEXEC) = 3`.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    thread: &'a str,
    /// With its arguments; what comes back may stand in its own line, which begins with `<...`.
    what: &'a str,
}

impl<'a> Call<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (thread, what) = line.split_once(' ')?;
        let what = what.trim_start();
        // Signals and ends of threads are not calls.
        what.starts_with(|first: char| first.is_ascii_lowercase()).then_some(Self { thread, what })
    }

    fn name(self) -> &'a str {
        self.what.split('(').next().unwrap_or_default()
    }

    /// The process whose files it reads.
    fn process(self) -> Option<&'a str> {
        let rest = self.what.split_once("\"/proc/")?.1;
        let process = rest.split(['/', '"']).next()?;
        process.starts_with(|first: char| first.is_ascii_digit()).then_some(process)
    }
}

#[test]
fn p40_collecting_makes_no_system_calls_and_sampling_reads_no_other_process() {
    if env::var_os(TRACED).is_some() {
        return traced();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    let mut strace = Command::new(tool("strace"));
    let may = strace.args(["-f", "-o"]).arg(&file).arg("true").output().unwrap();
    if !may.status.success() {
        return eprintln!("this machine does not allow `strace`: {}", String::from_utf8_lossy(&may.stderr));
    }
    // This very test, as its own process.
    let name = thread::current().name().unwrap().to_owned();
    let output = Command::new(tool("strace"))
        .args(["-f", "-s", "256", "-o"])
        .arg(&file)
        .arg(env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(TRACED, "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");

    let text = fs::read_to_string(&file).unwrap();
    let calls: Vec<_> = text.lines().filter_map(Call::of).collect();
    let mark = |mark: &str| calls.iter().position(|call| call.what.contains(mark)).unwrap();
    let (begin, end) = (mark(BEGIN), mark(END));
    let collecting = calls[begin].thread;
    let asked: Vec<_> = calls[begin + 1..end]
        .iter()
        .filter(|call| call.thread == collecting && !ALLOWED.contains(&call.name()))
        .collect();
    assert!(asked.is_empty(), "{asked:#?}");
    // Other threads sampled meanwhile.
    let others = calls[begin..end].iter().filter(|call| call.thread != collecting);
    assert!(
        others.clone().any(|call| call.what.contains("\"/proc/")),
        "no sampler read anything between the marks"
    );

    let own = stderr.lines().find_map(|line| line.strip_prefix("traced: ")).unwrap();
    let strange: Vec<_> =
        calls.iter().filter(|call| call.process().is_some_and(|process| process != own)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

/// Collects the metrics while the sampler runs.
fn traced() {
    eprintln!("traced: {}", process::id());
    let telemetry =
        Telemetry::builder("traced").prometheus().system(Duration::from_millis(100)).build().unwrap();
    let readings = |text: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with("campanile_sampler_duration_seconds{"));
        // The duration differs between two readings.
        lines.find(|line| line.contains("source=\"process\"")).map(str::to_owned)
    };
    let until = |wanted: &dyn Fn(&str) -> bool| {
        let started = Instant::now();
        while !wanted(&telemetry.prometheus_text()) {
            assert!(started.elapsed() < TIMEOUT, "{}", telemetry.prometheus_text());
            thread::park_timeout(Duration::from_millis(10));
        }
    };
    until(&|text| text.contains("\nprocess_cpu_utilization_ratio{"));
    let first = readings(&telemetry.prometheus_text());
    let _ = fs::metadata(BEGIN);
    // Collects until the sampler has made another reading.
    let started = Instant::now();
    while readings(&telemetry.prometheus_text()) == first {
        assert!(started.elapsed() < TIMEOUT);
    }
    let _ = fs::metadata(END);
}
