//! Reserved disk space for removing letters.
//!
//! SQLite writes each change to its log first, so even a removal needs disk space, and a full disk could never be
//! emptied. A file beside the database reserves space. It is as large as the log: the checkpoint of the log may make
//! the database grow by as much before the log can restart. When the disk is full, the writer deletes the reserve,
//! commits the jobs that remove letters, and creates the reserve again before it parks another letter.
//!
//! The reserve does not help when another program takes the space at once, when the file system keeps deleted data,
//! as for snapshots, or when a limit on the size of files is reached.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::file;

/// The size for a small log: many times the log of removing a few letters.
const SMALLEST: u64 = 512 * 1024;

/// It grows in steps of this size, so that it grows seldom.
const STEP: u64 = 256 * 1024;

const LARGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The reserve exists and has this size.
    Held(u64),
    /// The disk has no space for it.
    Missing,
    /// It cannot be created here, for a reason other than a full disk.
    Unavailable,
}

impl Reserve {
    /// The reserve of the database at `path`. Creates it if the disk has space.
    pub(super) fn open(path: &Path) -> Self {
        let mut reserve = Self::at(path);
        reserve.cover(0);
        reserve
    }

    fn at(path: &Path) -> Self {
        // If the path is a link, the reserve is next to its target.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { path: file::with_suffix(&real, "-reserve"), state: State::Missing }
    }

    /// Makes the reserve large enough for a log of `log` bytes. Returns `false` if the disk has no space for that.
    pub(super) fn cover(&mut self, log: u64) -> bool {
        let wanted = log.div_ceil(STEP).saturating_mul(STEP).clamp(SMALLEST, LARGEST);
        match self.state {
            State::Unavailable => return true,
            State::Held(size) if size >= wanted => return true,
            State::Held(_) | State::Missing => {}
        }
        match self.make(wanted) {
            Ok(()) => self.state = State::Held(wanted),
            // A smaller reserve stays.
            Err(error) if is_full(&error) => return false,
            Err(_) => self.state = State::Unavailable,
        }
        true
    }

    /// Shrinks the reserve after the log was emptied.
    pub(super) fn shrink(&mut self) {
        if let State::Held(size) = self.state
            && size > SMALLEST
            && let Ok(file) = OpenOptions::new().write(true).open(&self.path)
            && file.set_len(SMALLEST).is_ok()
        {
            self.state = State::Held(SMALLEST);
        }
    }

    /// Deletes the reserve. Returns `false` if there was none.
    pub(super) fn release(&mut self) -> bool {
        let released = std::fs::remove_file(&self.path).is_ok();
        if self.state != State::Unavailable {
            self.state = State::Missing;
        }
        released
    }

    fn make(&self, wanted: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true);
        let existing = match std::fs::symlink_metadata(&self.path) {
            Ok(file) if !file.is_file() => return Err(ErrorKind::Unsupported.into()),
            // Another process has the same database open and needs a larger reserve.
            Ok(file) if file.len() >= wanted => return Ok(()),
            Ok(file) => file.len(),
            Err(_) => {
                options.create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                0
            }
        };
        if !is_allowed_size(wanted) {
            return Err(ErrorKind::Unsupported.into());
        }
        // A compressing file system would store zeros without using space.
        let mut random = fastrand::Rng::with_seed(wanted);
        let missing = usize::try_from((wanted - existing) / 8).unwrap_or(0);
        let bytes: Vec<u8> =
            std::iter::repeat_with(|| random.u64(..).to_le_bytes()).take(missing).flatten().collect();
        let mut file = options.open(&self.path)?;
        let written = file.write_all(&bytes);
        if written.is_err() {
            let _ = file.set_len(existing);
        }
        written
    }
}

/// Deletes the reserve of a database that cannot be opened because the disk is full. Returns `false` if there was none.
pub(super) fn release(path: &Path) -> bool {
    Reserve::at(path).release()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Whether the limits of the process allow a file of that size. A signal ends a process that exceeds its limit.
#[cfg(target_os = "linux")]
fn is_allowed_size(size: u64) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max file size")?.split_whitespace().next());
    limit.and_then(|limit| limit.parse::<u64>().ok()).is_none_or(|limit| limit >= size)
}

#[cfg(not(target_os = "linux"))]
fn is_allowed_size(_: u64) -> bool {
    true
}
