//! Room on the disk for removing letters.
//!
//! SQLite writes each change to its log first, so that even a removal needs room: a full disk would never be emptied. A
//! file beside the letters holds some. It is as large as the log, since what lies in the log may have to go into the
//! letters' file, and that may have to grow for it, before the log can begin anew. When there is no room left, the
//! reserve goes, what removes letters is written, and the reserve comes back before another letter is parked.
//!
//! It does not help where another program takes the room at once, where a file system keeps what was removed, as those
//! with snapshots may, and where a limit on the size of a file is reached.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::file;

/// Its size where the log is small: what the log takes for a few letters that go, many times over.
const SMALLEST: u64 = 512 * 1024;

/// It grows by so much, so that it grows seldom, and is no larger than this.
const STEP: u64 = 256 * 1024;
const LARGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has so many bytes.
    Held(u64),
    /// There is no room for it.
    Missing,
    /// It cannot be had here.
    Unavailable,
}

impl Reserve {
    /// The one of a file, made if there is room for it.
    pub(super) fn open(path: &Path) -> Self {
        let mut reserve = Self::at(path);
        reserve.covers(0);
        reserve
    }

    fn at(path: &Path) -> Self {
        // Where the file is a link, it lies beside what it points to.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { path: file::beside(&real, "-reserve"), state: State::Missing }
    }

    /// Makes it large enough for a log of so many bytes; `false` while there is no room for that.
    pub(super) fn covers(&mut self, log: u64) -> bool {
        let wanted = log.div_ceil(STEP).saturating_mul(STEP).clamp(SMALLEST, LARGEST);
        match self.state {
            State::Unavailable => return true,
            State::Held(size) if size >= wanted => return true,
            State::Held(_) | State::Missing => {}
        }
        let made = self.make(wanted);
        match made {
            Ok(()) => self.state = State::Held(wanted),
            // What there is stays.
            Err(error) if is_no_room(&error) => return false,
            Err(_) => self.state = State::Unavailable,
        }
        true
    }

    /// The log is empty: what is more than the least goes back to the disk.
    pub(super) fn shrink(&mut self) {
        if let State::Held(size) = self.state
            && size > SMALLEST
            && let Ok(file) = OpenOptions::new().write(true).open(&self.path)
            && file.set_len(SMALLEST).is_ok()
        {
            self.state = State::Held(SMALLEST);
        }
    }

    /// Gives its room back; `false` if there was none.
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
        let there = match std::fs::symlink_metadata(&self.path) {
            Ok(file) if !file.is_file() => return Err(ErrorKind::Unsupported.into()),
            // Another process has the same file open, and needs more.
            Ok(file) if file.len() >= wanted => return Ok(()),
            Ok(file) => file.len(),
            Err(_) => {
                options.create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                0
            }
        };
        if !may_have(wanted) {
            return Err(ErrorKind::Unsupported.into());
        }
        // Zeros take no room where files are compressed.
        let mut random = fastrand::Rng::with_seed(wanted);
        let missing = usize::try_from((wanted - there) / 8).unwrap_or(0);
        let bytes: Vec<u8> =
            std::iter::repeat_with(|| random.u64(..).to_le_bytes()).take(missing).flatten().collect();
        let mut file = options.open(&self.path)?;
        let written = file.write_all(&bytes);
        if written.is_err() {
            let _ = file.set_len(there);
        }
        written
    }
}

/// Lets go of the reserve of a file that cannot be opened for want of room; `false` if there was none.
pub(super) fn release(path: &Path) -> bool {
    Reserve::at(path).release()
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Whether a file may have that size. A process that goes beyond its limit is ended by a signal.
#[cfg(target_os = "linux")]
fn may_have(size: u64) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max file size")?.split_whitespace().next());
    limit.and_then(|limit| limit.parse::<u64>().ok()).is_none_or(|limit| limit >= size)
}

#[cfg(not(target_os = "linux"))]
fn may_have(_: u64) -> bool {
    true
}
