//! Small files of the kernel, read again and again.
//!
//! A file stays open between readings: a process that has no descriptor left can be read all the same, and that is when
//! its figures are needed most. At each reading its path is looked at, so that a file that was replaced, by another
//! mount or under its old name, is opened anew.
//!
//! Files of a key and a number in each line are read by [`value`], those of numbers in a row by [`numbers`]: what is
//! malformed or missing in a file takes nothing else of it along.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::probe::{Failures, Part, ProbeError};

/// A file that is larger is not read: the list of 100,000 mounts is smaller.
const MOST: usize = 64 << 20;
/// What is read at once.
const ROOM: usize = 16 << 10;
/// Files that are kept open; more of them are opened for each reading.
const MOST_KEPT: usize = 64;

/// Reads files below a root, which is `/` but in tests.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    buffer: Vec<u8>,
    kept: Vec<Kept>,
}

/// A file that is open.
#[derive(Debug)]
struct Kept {
    name: Box<str>,
    identity: (u64, u64),
    file: File,
}

/// Why a file could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    name: Box<str>,
    error: io::Error,
}

impl Files {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), buffer: Vec::new(), kept: Vec::new() }
    }

    /// The text of `name`, which begins without a slash. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn read(&mut self, name: &str) -> Result<Cow<'_, str>, Unread> {
        let length = self.fill(name).map_err(|error| Unread { name: name.into(), error })?;
        Ok(String::from_utf8_lossy(&self.buffer[..length]))
    }

    /// The first number in `name`, if it is there. The file does not stay open.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        self.read_once(name)?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The text of `name`, if it is there. The file does not stay open: for what there are many of.
    pub(super) fn read_once(&mut self, name: &str) -> Option<Cow<'_, str>> {
        let file = File::open(self.path(name)).ok()?;
        let length = read_whole(&file, &mut self.buffer).ok()?;
        Some(String::from_utf8_lossy(&self.buffer[..length]))
    }

    /// Closes what is open: those files are read no more.
    pub(super) fn close(&mut self) {
        self.kept.clear();
    }

    /// Where `name` is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Reads `name` into the buffer.
    fn fill(&mut self, name: &str) -> io::Result<usize> {
        let path = self.path(name);
        let place = self.kept.iter().position(|kept| *kept.name == *name);
        let identity = match fs::metadata(&path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) => {
                place.map(|place| self.kept.swap_remove(place));
                return Err(error);
            }
        };
        if let Some(kept) = place.and_then(|place| self.kept.get(place))
            && kept.identity == identity
            && let Ok(length) = read_whole(&kept.file, &mut self.buffer)
        {
            return Ok(length);
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            // The number of an inode of `/proc` may change, and the file is the same.
            Err(error) => {
                let kept = place.and_then(|place| self.kept.get(place)).ok_or(error)?;
                return read_whole(&kept.file, &mut self.buffer);
            }
        };
        let length = read_whole(&file, &mut self.buffer);
        let kept = Kept { name: name.into(), identity, file };
        place.map(|place| self.kept.swap_remove(place));
        if self.kept.len() < MOST_KEPT {
            self.kept.push(kept);
        }
        length
    }
}

/// Reads a file from its start to its end; what is behind the length that is given back is of an earlier one.
fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        if buffer.len() - length < ROOM / 4 {
            if length >= MOST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
            }
            buffer.resize((2 * buffer.len()).max(ROOM), 0);
        }
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Unread {
    /// Whether this machine does not have it, or not for this process: then there is nothing to be told.
    pub(super) fn is_absent(&self) -> bool {
        matches!(
            self.error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::NotADirectory
        )
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: {}", self.name, self.error)
    }
}

impl From<Unread> for ProbeError {
    fn from(unread: Unread) -> Self {
        Self(unread.to_string().into())
    }
}

impl Failures {
    /// The content of a file that not every machine has; no failure where it is absent.
    pub(super) fn optional<T>(&mut self, part: Part, read: Result<T, Unread>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(unread) => {
                if !unread.is_absent() {
                    self.add(part, unread);
                }
                None
            }
        }
    }

    /// The content of a file that every machine has.
    pub(super) fn required<T>(&mut self, part: Part, read: Result<T, Unread>) -> Option<T> {
        read.map_err(|unread| self.add(part, unread)).ok()
    }
}

/// The number in the line that begins with `key`, which is written with what separates the two.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_ascii_whitespace().next()?.parse().ok())
}

/// The same in bytes, where the file has kB.
pub(super) fn kib(text: &str, key: &str) -> Option<u64> {
    value(text, key)?.checked_mul(1_024)
}

/// The numbers of a line, those that are malformed or missing left out.
pub(super) fn numbers<const N: usize>(line: &str) -> [Option<u64>; N] {
    let mut fields = line.split_ascii_whitespace();
    std::array::from_fn(|_| fields.next()?.parse().ok())
}

/// A number with decimals, as the kernel writes it. One that is larger than 2⁵³ is none.
pub(super) fn decimal(field: &str) -> Option<f64> {
    field.parse().ok().filter(|value: &f64| (0.0..=9_007_199_254_740_992.0).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_none() {
        assert_eq!(value("a: 18446744073709551615 kB\n", "a:"), Some(u64::MAX));
        for bad in ["", "-1", "1.0", "18446744073709551616", "0x1", "٣"] {
            assert_eq!(value(&format!("a: {bad}"), "a:"), None, "{bad}");
        }
        assert_eq!((kib("a 2", "a "), kib("a 18446744073709551615", "a ")), (Some(2_048), None));
        assert_eq!((decimal("0.25"), decimal("19.06")), (Some(0.25), Some(19.06)));
        assert!(["-0.5", "inf", "NaN", "", "1e999", "x"].into_iter().all(|bad| decimal(bad).is_none()));
        assert_eq!(numbers(" 1  x 3"), [Some(1), None, Some(3), None]);
    }

    #[test]
    fn a_file_of_any_size_is_read_whole_and_a_shorter_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::below(folder.path());
        assert!(files.read("absent").unwrap_err().is_absent());
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 100_000, 3] {
            fs::write(folder.path().join("file"), vec![b'x'; length]).unwrap();
            assert_eq!(files.read("file").unwrap(), "x".repeat(length));
            assert_eq!(files.read_once("file").unwrap(), "x".repeat(length));
        }
        fs::write(folder.path().join("file"), b" 17 \xff").unwrap();
        assert_eq!(files.number("file"), Some(17));
        File::create(folder.path().join("file")).unwrap().set_len(1 + MOST as u64).unwrap();
        assert!(files.read("file").unwrap_err().to_string().contains("64 MiB"));
    }

    #[test]
    fn a_file_that_was_replaced_is_read_anew_and_one_that_is_gone_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        let mut files = Files::below(folder.path());
        fs::write(&file, "old").unwrap();
        assert_eq!(files.read("file").unwrap(), "old");
        fs::write(&other, "new").unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(files.read("file").unwrap(), "new");
        fs::remove_file(&file).unwrap();
        assert!(files.read("file").is_err());
        assert!(files.kept.is_empty(), "it is not kept open");
    }

    #[test]
    fn files_that_are_kept_open_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::below(folder.path());
        for number in 0..2 * MOST_KEPT {
            let name = number.to_string();
            fs::write(folder.path().join(&name), &name).unwrap();
            assert_eq!(files.read(&name).unwrap(), name);
            assert_eq!(files.read(&name).unwrap(), name);
        }
        assert_eq!(files.kept.len(), MOST_KEPT);
    }
}
