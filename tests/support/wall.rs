//! A wall clock that a test can set: a preloaded library replaces the system's clock in a child process.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// The variable with the path of a file that holds the offset of the wall clock in nanoseconds.
pub const CLOCK: &str = "CAMPANILE_TEST_CLOCK";

/// The library that replaces the wall clock of a process. `None` where that is not supported.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stepping_clock.rs");
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        eprintln!("the wall clock cannot be replaced on this platform");
        return None;
    }
    let folder = tempfile::tempdir().unwrap().keep();
    let library = folder.join("libstepping_clock.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = Command::new(rustc);
    build.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-D", "warnings", "-o"]);
    let built = build.arg(&library).arg(SOURCE).status().expect("rustc runs");
    assert!(built.success(), "the clock cannot be built");
    // Without an effect of the library, the tests would prove nothing.
    fs::write(folder.join("a-day-on"), 86_400_000_000_000_i64.to_ne_bytes()).unwrap();
    let mut date = Command::new("date");
    date.arg("+%s").env("LD_PRELOAD", &library).env(CLOCK, folder.join("a-day-on"));
    let then: u64 = String::from_utf8(date.output().unwrap().stdout).unwrap().trim().parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(then.abs_diff(now) > 80_000, "the wall clock of a child does not step");
    Some(library)
}

/// The wall clock of this process.
pub struct Wall(PathBuf);

impl Wall {
    /// Runs the test `name` in a child process with a separate wall clock. Returns the clock in the child process, and `None`
    /// in the parent process after the child ended.
    pub fn in_child(name: &str) -> Option<Self> {
        Self::with(name, &[])
    }

    /// As [`in_child`](Self::in_child), with these variables in the child process.
    pub fn with(name: &str, variables: &[(&str, &str)]) -> Option<Self> {
        if let Some(path) = std::env::var_os(CLOCK) {
            return Some(Self(path.into()));
        }
        let library = library()?;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ahead");
        fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CLOCK, &path)
            .env("LD_PRELOAD", library)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(stdout.contains("1 passed"), "{stdout}");
        None
    }

    /// Sets the clock to `ahead` seconds after the real time. A negative number is before it.
    pub fn set(&self, ahead: i64) {
        use std::io::Write;
        let mut file = OpenOptions::new().write(true).open(&self.0).unwrap();
        file.write_all(&(ahead * 1_000_000_000).to_ne_bytes()).unwrap();
    }

    /// Offsets for tests: an hour, thirty days, 1970 and 2106.
    pub fn steps(&self) -> Vec<i64> {
        self.set(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        vec![3_600, -3_600, 30 * 86_400, -30 * 86_400, 10 - now, 4_294_967_290 - now]
    }
}

/// Asserts that setting the wall clock has an effect.
pub fn the_clock_can_be_set(wall: &Wall) {
    let before = SystemTime::now();
    wall.set(3_600);
    let ahead = SystemTime::now().duration_since(before).unwrap();
    assert!(ahead.abs_diff(Duration::from_secs(3_600)) < Duration::from_secs(60), "{ahead:?}");
    wall.set(0);
}
