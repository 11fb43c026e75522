//! Small files of the kernel that are read at each interval.
//!
//! A file stays open between readings, so that a process without free file descriptors can still be read; that is when
//! its figures are needed most. Each reading checks the path, and opens the file again if it was replaced.
//!
//! [`value`] reads files with a key and a number in each line, [`numbers`] those with numbers in a row. A malformed or
//! missing value does not affect the others.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::probe::{Failures, Part, ProbeError};

/// The size of the largest file that is read. A list of 100,000 mounts is smaller.
const MOST: usize = 64 << 20;
/// The first size of the buffer.
const ROOM: usize = 16 << 10;
/// The number of files that are kept open. Others are opened at each reading.
const MOST_KEPT: usize = 64;

/// Reads files below a root folder. It is `/`, except in tests.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    buffer: Vec<u8>,
    open: Vec<OpenFile>,
}

/// A file that stays open.
#[derive(Debug)]
struct OpenFile {
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
        Self { root: root.to_owned(), buffer: Vec::new(), open: Vec::new() }
    }

    /// The text of `name`, a path without a leading slash. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub(super) fn read(&mut self, name: &str) -> Result<Cow<'_, str>, Unread> {
        let length = self.fill(name).map_err(|error| Unread { name: name.into(), error })?;
        Ok(String::from_utf8_lossy(&self.buffer[..length]))
    }

    /// The first number in `name`, if the file exists. The file does not stay open.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        self.read_once(name)?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The text of `name`, if the file exists. The file does not stay open, since there are many of its kind.
    pub(super) fn read_once(&mut self, name: &str) -> Option<Cow<'_, str>> {
        let file = File::open(self.path(name)).ok()?;
        let length = read_whole(&file, &mut self.buffer).ok()?;
        Some(String::from_utf8_lossy(&self.buffer[..length]))
    }

    /// Closes the open files, when other files are read from now on.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// The path of `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Reads `name` into the buffer.
    fn fill(&mut self, name: &str) -> io::Result<usize> {
        let path = self.path(name);
        let place = self.open.iter().position(|open| *open.name == *name);
        let identity = match fs::metadata(&path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(error) => {
                place.map(|place| self.open.swap_remove(place));
                return Err(error);
            }
        };
        if let Some(open) = place.and_then(|place| self.open.get(place))
            && open.identity == identity
            && let Ok(length) = read_whole(&open.file, &mut self.buffer)
        {
            return Ok(length);
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            // The inode number of a file in `/proc` may change while the file stays the same.
            Err(error) => {
                let open = place.and_then(|place| self.open.get(place)).ok_or(error)?;
                return read_whole(&open.file, &mut self.buffer);
            }
        };
        let length = read_whole(&file, &mut self.buffer);
        let open = OpenFile { name: name.into(), identity, file };
        place.map(|place| self.open.swap_remove(place));
        if self.open.len() < MOST_KEPT {
            self.open.push(open);
        }
        length
    }
}

/// Reads a whole file and returns its length. The buffer behind that length holds parts of an earlier file.
fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        if buffer.len() - length < ROOM / 4 {
            if length >= MOST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 64 MiB"));
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
    /// Whether this machine does not have the file, or this process may not read it. That is not a failure.
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
        write!(f, "cannot read /{}: {}", self.name, self.error)
    }
}

impl From<Unread> for ProbeError {
    fn from(unread: Unread) -> Self {
        Self(unread.to_string().into())
    }
}

impl Failures {
    /// The content of a file that not every machine has. It is not a failure if it is absent.
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

/// The number in the line that begins with `key`. `key` includes the separator.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_ascii_whitespace().next()?.parse().ok())
}

/// As [`value`], in bytes, for a number in kB.
pub(super) fn kib(text: &str, key: &str) -> Option<u64> {
    value(text, key)?.checked_mul(1_024)
}

/// The numbers of a line; `None` for those that are malformed or missing.
pub(super) fn numbers<const N: usize>(line: &str) -> [Option<u64>; N] {
    let mut fields = line.split_ascii_whitespace();
    std::array::from_fn(|_| fields.next()?.parse().ok())
}

/// A decimal number, as the kernel writes it; `None` if it is larger than 2⁵³.
pub(super) fn decimal(field: &str) -> Option<f64> {
    field.parse().ok().filter(|value: &f64| (0.0..=9_007_199_254_740_992.0).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_numbers_are_none() {
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
    fn files_of_any_size_are_read_whole_and_shorter_ones_after_them() {
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
    fn a_replaced_file_is_opened_again_and_a_removed_one_is_not_read() {
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
        assert!(files.open.is_empty(), "it is not kept open");
    }

    #[test]
    fn the_number_of_open_files_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::below(folder.path());
        for number in 0..2 * MOST_KEPT {
            let name = number.to_string();
            fs::write(folder.path().join(&name), &name).unwrap();
            assert_eq!(files.read(&name).unwrap(), name);
            assert_eq!(files.read(&name).unwrap(), name);
        }
        assert_eq!(files.open.len(), MOST_KEPT);
    }
}
