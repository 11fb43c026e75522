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

type Tell = unsafe extern "C" fn(*const c_char) -> u64;

/// A driver with GPUs that are what a test says.
#[derive(Debug)]
pub struct FakeGpus {
    library: Library,
    path: PathBuf,
    // Goes last.
    _folder: TempDir,
}

impl FakeGpus {
    /// A driver of `count` GPUs, with UUIDs `GPU-PREFIX-0` and so on.
    pub fn new(count: u32, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libnvidia-ml.so.1");
        fs::copy(built(), &path).unwrap();
        // Open as long as this is, so that its table outlives each session.
        // SAFETY: the library is ours and runs nothing when it is loaded.
        let library = unsafe { Library::new(&path) }.unwrap();
        let gpus = Self { library, path, _folder: folder };
        gpus.tell(&format!("gpus {count} {prefix}"));
        gpus
    }

    /// Where the library is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a command of those that the library documents.
    pub fn tell(&self, command: &str) -> u64 {
        let command = CString::new(command).unwrap();
        // SAFETY: the function has this type, and gets a string of C.
        unsafe { self.library.get::<Tell>(b"fake_tell\0").unwrap()(command.as_ptr()) }
    }

    /// How often a function was called.
    pub fn calls(&self, call: &str) -> u64 {
        self.tell(&format!("calls {call}"))
    }

    /// Waits until the driver is closed.
    ///
    /// # Panics
    ///
    /// If it stays open.
    pub fn let_go(&self) {
        let gone = (0..3_000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(1));
            self.tell("started") == 0
        });
        assert!(gone, "the driver is still open");
    }
}

/// The library, built once for all tests from its source.
fn built() -> PathBuf {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake_nvml.rs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = folder.join("libfake_nvml.so");
    // Processes that run side by side build it one after another.
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
            .expect("rustc, which built this test, is there");
        assert!(status.success(), "the fake library cannot be built");
        fs::rename(fresh, &built).unwrap();
    }
    built
}
