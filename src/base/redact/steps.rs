//! Functions that walk over bytes.
//!
//! All searches use these functions, so that a test can count the steps per byte.

/// The end of the run of bytes at `from` for which `is` holds, at most `most` bytes long.
#[inline]
pub(super) fn ahead(bytes: &[u8], from: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let end = bytes.len().min(from.saturating_add(most));
    let mut at = from;
    while at < end && is(bytes[at]) {
        at += 1;
    }
    count(at.saturating_sub(from) + 1);
    at
}

/// The start of the run of bytes before `to` for which `is` holds, at most `most` bytes long.
#[inline]
pub(super) fn behind(bytes: &[u8], to: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let first = to.saturating_sub(most);
    let mut at = to;
    while at > first && is(bytes[at - 1]) {
        at -= 1;
    }
    count(to - at + 1);
    at
}

/// The first `byte` from `from` on.
#[inline]
pub(super) fn find(byte: u8, bytes: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memchr(byte, bytes.get(from..)?);
    count(found.unwrap_or(bytes.len() - from) + 1);
    found.map(|place| from + place)
}

/// The first of three bytes from `from` on.
#[inline]
pub(super) fn find3(any: [u8; 3], bytes: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memchr3(any[0], any[1], any[2], bytes.get(from..)?);
    count(found.unwrap_or(bytes.len() - from) + 1);
    found.map(|place| from + place)
}

/// The first `text` from `from` on.
#[inline]
pub(super) fn find_text(text: &[u8], bytes: &[u8], from: usize) -> Option<usize> {
    let found = memchr::memmem::find(bytes.get(from..)?, text);
    count(found.unwrap_or(bytes.len() - from) + 1);
    found.map(|place| from + place)
}

/// The last `byte` in `bytes[from..to]`.
#[inline]
pub(super) fn find_last(byte: u8, bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let found = memchr::memrchr(byte, bytes.get(from..to)?);
    count(found.map_or(to - from, |place| to - from - place) + 1);
    found.map(|place| from + place)
}

/// Whether a byte is a continuation byte of UTF-8.
#[inline]
pub(super) fn continues(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The start of the character at `at`. If the text is not UTF-8, `at` or up to three bytes before it.
#[inline]
pub(super) fn char_start(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at).is_none_or(|byte| !continues(*byte)) {
        return at;
    }
    let start = behind(bytes, at, 3, continues);
    if start > 0 && bytes[start - 1] >= 0xC0 && at - start < 3 { start - 1 } else { at }
}

#[cfg(not(test))]
#[inline(always)]
pub(super) fn count(_: usize) {}

#[cfg(test)]
pub(super) use counted::count;

#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(in crate::base::redact) fn count(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// The steps that `work` takes on this thread.
    pub(in crate::base::redact) fn steps(work: impl FnOnce()) -> usize {
        STEPS.set(0);
        work();
        STEPS.get()
    }
}
