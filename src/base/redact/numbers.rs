//! Numbers of payment cards and bank accounts.

use std::ops::Range;

use super::cards;
use super::ibans;
use super::steps::ahead;

/// Calls `each` with the place and the kind of every number.
pub(super) fn each(bytes: &[u8], mut each: impl FnMut(Range<usize>, &'static str)) {
    let (mut at, mut done) = (0, 0);
    loop {
        let start = ahead(bytes, at, usize::MAX, |byte| !byte.is_ascii_digit());
        if start >= bytes.len() {
            return;
        }
        let end = ahead(bytes, start, usize::MAX, |byte| byte.is_ascii_digit());
        at = end;
        let account = start.checked_sub(2).filter(|start| *start >= done);
        let found = match account.and_then(|start| ibans::ends(bytes, start).map(|end| (start, end))) {
            Some((start, end)) => Some((start..end, "iban")),
            None => cards::ends(bytes, start, end - start).map(|end| (start..end, "card")),
        };
        if let Some((place, what)) = found {
            (at, done) = (place.end, place.end);
            each(place, what);
        }
    }
}
