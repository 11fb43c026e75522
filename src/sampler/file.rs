//! Small files of the kernel, read again and again.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longer than any file that is read so; what lies behind is not read.
const MOST: u64 = 1 << 20;
/// As much as one reading of a file of the kernel gives.
const USUAL: usize = 4_096;

/// A buffer that files are read into, one at a time, so that a reading allocates nothing.
#[derive(Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    lossy: String,
}

impl Text {
    /// What the file holds now.
    ///
    /// Opened anew each time: a file of the kernel may belong to something that is gone, and `self` is resolved
    /// when it is opened.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn read(&mut self, path: impl AsRef<Path>) -> io::Result<&str> {
        self.bytes.clear();
        self.bytes.reserve(USUAL);
        // Bounded, and by that without a question for its size, which such files do not know.
        File::open(path)?.take(MOST).read_to_end(&mut self.bytes)?;
        match str::from_utf8(&self.bytes) {
            Ok(text) => Ok(text),
            // The name of a program or of a group may be anything.
            Err(_) => {
                self.lossy.clear();
                self.lossy.push_str(&String::from_utf8_lossy(&self.bytes));
                Ok(&self.lossy)
            }
        }
    }
}

/// How many there are in a list like `0-3,8`.
pub(super) fn listed(list: &str) -> Option<u64> {
    list.trim().split(',').try_fold(0_u64, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        assert_eq!(listed("0\n"), Some(1));
        assert_eq!(listed("0-3,8,10-11\n"), Some(7));
        for bad in ["", "\n", "a", "0-", "3-1", "0-18446744073709551615", "0,,1"] {
            assert_eq!(listed(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_read_all_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"Name:\t\xff\xfe\nVmHWM:\t 8 kB\n").unwrap();
        let mut text = Text::default();
        assert!(text.read(file.path()).unwrap().ends_with("VmHWM:\t 8 kB\n"));
        std::fs::write(file.path(), b"short").unwrap();
        assert_eq!(text.read(file.path()).unwrap(), "short");
        assert!(text.read("/nonexistent").is_err());
    }
}
