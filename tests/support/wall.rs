//! A wall clock that a test sets: a library that stands before the system's clock, in a process of the test's own.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Names the file with the nanoseconds to add to the wall clock.
pub const CLOCK: &str = "CAMPANILE_TEST_CLOCK";

/// What replaces the wall clock of a process, where that is known to work.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stepping_clock.rs");
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        eprintln!("the wall clock does not step here");
        return None;
    }
    let folder = tempfile::tempdir().unwrap().keep();
    let library = folder.join("libstepping_clock.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = Command::new(rustc);
    build.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-D", "warnings", "-o"]);
    let built = build.arg(&library).arg(SOURCE).status().expect("rustc, which built this test, is there");
    assert!(built.success(), "the clock cannot be built");
    // The clock must step, or the test would prove nothing about it.
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
    /// The wall clock of the process that runs the test called `name` alone, in that process; in the one that is asked to
    /// run it, nothing: it starts the other one and waits for it.
    pub fn of_its_own(name: &str) -> Option<Self> {
        Self::with(name, &[])
    }

    /// The same, with these variables set there.
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
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("1 passed"), "{said}");
        None
    }

    /// Moves the clock to so many seconds ahead of the true time, or behind it.
    pub fn set(&self, ahead: i64) {
        use std::io::Write;
        let mut file = OpenOptions::new().write(true).open(&self.0).unwrap();
        file.write_all(&(ahead * 1_000_000_000).to_ne_bytes()).unwrap();
    }

    /// Steps that are tried: by an hour, by thirty days, to 1970 and to 2106.
    pub fn steps(&self) -> Vec<i64> {
        self.set(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        vec![3_600, -3_600, 30 * 86_400, -30 * 86_400, 10 - now, 4_294_967_290 - now]
    }
}

/// The wall clock is set, indeed.
pub fn the_clock_can_be_set(wall: &Wall) {
    let before = SystemTime::now();
    wall.set(3_600);
    let ahead = SystemTime::now().duration_since(before).unwrap();
    assert!(ahead.abs_diff(Duration::from_secs(3_600)) < Duration::from_secs(60), "{ahead:?}");
    wall.set(0);
}
