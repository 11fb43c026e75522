//! Small files of the kernel, read again and again into one buffer.
//!
//! Most are parsed by `procfs`. Its own readers make a buffer of 8 KiB for each file, so it gets the text from here.
//! Files of a key and a number in each line are read by [`value`]: `procfs` does not know those of control groups. It
//! has `/proc/meminfo` and `/proc/self/status`, but takes neither as gVisor writes it, where fields are missing.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::probe::ProbeError;

/// No file that is read here is as large as this; one that is larger is cut.
const MOST: u64 = 4 << 20;

/// Reads files below a root, which is `/` but in tests.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    buffer: Vec<u8>,
}

impl Files {
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), buffer: Vec::new() }
    }

    /// The text of `name`, which begins without a slash. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn read(&mut self, name: &str) -> Result<Cow<'_, str>, ProbeError> {
        self.buffer.clear();
        File::open(self.path(name))
            .and_then(|file| file.take(MOST).read_to_end(&mut self.buffer))
            .map_err(|error| ProbeError(format!("/{name}: {error}").into()))?;
        Ok(String::from_utf8_lossy(&self.buffer))
    }

    /// The first number in `name`, if it is there.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        self.read(name).ok()?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Where `name` is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::below(Path::new("/"))
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

/// A number of `procfs` as the kernel wrote it, which is with two decimals: `f32` has them not exactly.
pub(super) fn hundredths(value: f32) -> Option<f64> {
    (value.is_finite() && value >= 0.0).then(|| (f64::from(value) * 100.0).round() / 100.0)
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
        assert_eq!((hundredths(0.25), hundredths(19.06)), (Some(0.25), Some(19.06)));
        assert!([-0.5, f32::INFINITY, f32::NAN].into_iter().all(|bad| hundredths(bad).is_none()));
    }

    #[test]
    fn a_file_of_any_size_is_read_whole_and_a_shorter_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::below(folder.path());
        assert!(files.read("absent").is_err());
        for length in [0, 1, 8_191, 8_192, 8_193, 100_000, 3] {
            std::fs::write(folder.path().join("file"), vec![b'x'; length]).unwrap();
            assert_eq!(files.read("file").unwrap(), "x".repeat(length));
        }
        std::fs::write(folder.path().join("file"), b" 17 \xff").unwrap();
        assert_eq!(files.number("file"), Some(17));
    }
}
