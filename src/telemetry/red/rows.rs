//! Tables that only grow, read without a lock.

use std::sync::OnceLock;

const PAGE: usize = 64;

type Page<T> = Box<[OnceLock<T>]>;

/// Values by number. A value never moves.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pages: Box<[OnceLock<Page<T>>]>,
}

impl<T> Rows<T> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { pages: (0..capacity.div_ceil(PAGE)).map(|_| OnceLock::new()).collect() }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.pages.get(number / PAGE)?.get()?[number % PAGE].get()
    }

    /// All filled rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().filter_map(OnceLock::get).flatten().filter_map(OnceLock::get)
    }

    /// Fills an empty row; `false` if there is no such row, or it is filled.
    pub(super) fn fill(&self, number: u32, value: T) -> bool {
        let number = number as usize;
        let Some(page) = self.pages.get(number / PAGE) else { return false };
        let page = page.get_or_init(|| (0..PAGE).map(|_| OnceLock::new()).collect());
        page[number % PAGE].set(value).is_ok()
    }
}
