//! A name and the sign after it, as in `name=value`.

use std::ops::Range;

/// A sign, the name before it, and where the value begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Range<usize>,
    /// The sign, or the first of several.
    pub(super) sign: usize,
    /// Where the search continues if the name is not that of a secret.
    pub(super) after: usize,
    pub(super) in_query: bool,
}
