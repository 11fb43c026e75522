//! Small files of the kernel, read again and again.
//!
//! The types of the `procfs` crate make a map or a string for every line; a host with 128 processors has a line of
//! interrupts of many kilobytes. Here the buffer is kept, a line that nobody asks for costs its bytes, and what does
//! not look as it should is left out.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No file that is read here is as large as this; one that is larger is cut.
const MOST: usize = 4 << 20;

/// Reads files below a root, all into one buffer that is kept.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    path: OsString,
    buffer: Vec<u8>,
}

impl Files {
    /// Files below a directory, which is `/` but in tests.
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), path: OsString::new(), buffer: Vec::new() }
    }

    /// The content of `name`, which begins without a slash.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn read(&mut self, name: &str) -> io::Result<&[u8]> {
        let mut file = File::open(self.path(name))?;
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize((length * 2).clamp(8_192, MOST), 0);
            }
            match file.read(&mut self.buffer[length..]) {
                Ok(0) => return Ok(&self.buffer[..length]),
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first number in `name`, if it is there.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        number(fields(self.read(name).ok()?).next()?)
    }

    /// Where `name` is.
    pub(super) fn path(&mut self, name: &str) -> &Path {
        self.path.clear();
        self.path.push(&self.root);
        self.path.push("/");
        self.path.push(name);
        Path::new(&self.path)
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::below(Path::new(""))
    }
}

/// The lines, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        at += length + 1;
        Some(&rest[..length])
    })
}

/// What stands between blanks.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// A whole number that is nothing else, and no larger than 64 bits hold.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A number that may have a fraction, and is neither negative nor infinite.
pub(super) fn decimal(field: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_none() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "-1", "+1", "1.0", "18446744073709551616", "0x1", "٣"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decimal(b"0.25"), Some(0.25));
        for bad in ["", "-0.5", "inf", "nan", "1e999", "x"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lines_and_fields_are_those_of_the_text() {
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
        assert_eq!(lines(b"a\n").collect::<Vec<_>>(), [b"a"]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(fields(b"  eth0:\t1  2 ").collect::<Vec<_>>(), [&b"eth0:"[..], b"1", b"2"]);
    }

    #[test]
    fn a_file_of_any_size_is_read_whole_and_a_shorter_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::below(folder.path());
        assert!(files.read("absent").is_err());
        for length in [0, 1, 8_191, 8_192, 8_193, 100_000, 3] {
            std::fs::write(folder.path().join("file"), vec![b'x'; length]).unwrap();
            assert_eq!(files.read("file").unwrap(), vec![b'x'; length]);
        }
        std::fs::write(folder.path().join("file"), " 17 4").unwrap();
        assert_eq!(files.number("file"), Some(17));
    }
}
