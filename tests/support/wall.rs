//! A wall clock that a test sets: a library that stands before the system's clock, in a process of the test's own.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

const WALL: &str = "CAMPANILE_TEST_WALL";

/// Only the wall clock is moved: the clocks that only run on are the system's.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, id, now);
    const char *path = getenv("CAMPANILE_TEST_WALL");
    if (result == 0 && id == CLOCK_REALTIME && path) {
        long long ahead = 0;
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, &ahead, sizeof ahead) == sizeof ahead) now->tv_sec += ahead;
            close(file);
        }
    }
    return result;
}
"#;

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let (source, library) = (folder.join("wall.c"), folder.join("wall.so"));
        fs::write(&source, SOURCE).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        assert!(built.unwrap().success());
        library
    })
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
        if let Some(path) = std::env::var_os(WALL) {
            return Some(Self(path.into()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ahead");
        fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(WALL, &path)
            .env("LD_PRELOAD", library())
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
        file.write_all(&ahead.to_ne_bytes()).unwrap();
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
