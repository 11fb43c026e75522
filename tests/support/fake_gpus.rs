//! Tells the fake library of a driver, each test its own copy, what to answer.

#![allow(unsafe_code)] // To call what a library exports.
#![allow(unreachable_pub)] // Each test includes this file as its own module.

use std::ffi::{CString, c_char};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use libloading::Library;
use tempfile::TempDir;

type CommandFn = unsafe extern "C" fn(*const c_char) -> u64;

/// A fake driver with GPUs.
#[derive(Debug)]
pub struct FakeGpus {
    library: Library,
    path: PathBuf,
    // Dropped last.
    _folder: TempDir,
}

impl FakeGpus {
    /// A driver with `count` GPUs, whose UUIDs are `GPU-PREFIX-0` and so on.
    pub fn new(count: u32, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libnvidia-ml.so.1");
        fs::copy(built(), &path).unwrap();
        // The library stays loaded, so that its state outlives each session.
        // SAFETY: the fake library runs no code when it is loaded.
        let library = unsafe { Library::new(&path) }.unwrap();
        let gpus = Self { library, path, _folder: folder };
        gpus.command(&format!("gpus {count} {prefix}"));
        gpus
    }

    /// The path of the library.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command of `fake_command`.
    pub fn command(&self, command: &str) -> u64 {
        let command = CString::new(command).unwrap();
        // SAFETY: the function has this type, and the argument is a C string.
        unsafe { self.library.get::<CommandFn>(b"fake_command\0").unwrap()(command.as_ptr()) }
    }

    /// The number of calls of a function.
    pub fn calls(&self, call: &str) -> u64 {
        self.command(&format!("calls {call}"))
    }

    /// Waits until the driver is closed.
    ///
    /// # Panics
    ///
    /// If it is still open after the limit.
    pub fn wait_until_closed(&self) {
        let gone = (0..3_000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(1));
            self.command("started") == 0
        });
        assert!(gone, "the driver is still open");
    }
}

/// The library, built once for all tests from its source.
fn built() -> PathBuf {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake_nvml.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = folder.join("libfake_nvml.so");
    // Concurrent test processes build it one after another.
    let lock = File::create(folder.join("fake_nvml.lock")).unwrap();
    lock.lock().unwrap();
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if changed(&built).is_none_or(|built| Some(built) < changed(Path::new(SOURCE))) {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let fresh = folder.join("libfake_nvml.so.new");
        let status = Command::new(rustc)
            .args(["--edition", "2024", "--crate-type", "cdylib", "-D", "warnings", "-o"])
            .arg(&fresh)
            .arg(SOURCE)
            .status()
            .expect("`rustc` runs");
        assert!(status.success(), "the fake library cannot be built");
        fs::rename(fresh, &built).unwrap();
    }
    built
}
