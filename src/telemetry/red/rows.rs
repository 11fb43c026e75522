//! Tables that only grow, read without a lock.

use std::cell::Cell;
use std::sync::OnceLock;

use tracing::Metadata;

use super::Callsite;
use crate::base::sync::atomic::{AtomicU64, Ordering};

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

/// Unique in the process, unlike an address.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// As a power of two.
const KNOWN: u32 = 6;

thread_local! {
    /// The last callsites of this thread, of all layers. The facts of a callsite never change.
    static LAST: [Cell<Option<(u64, usize, Callsite)>>; 1 << KNOWN] =
        const { [const { Cell::new(None) }; 1 << KNOWN] };
}

/// The cached facts of the callsite of `metadata` in the table `id`, otherwise the result of `find`.
#[inline]
pub(super) fn remembered(
    id: u64,
    metadata: &'static Metadata<'static>,
    find: impl Fn() -> Callsite,
) -> Callsite {
    let address = std::ptr::from_ref(metadata).addr();
    // Metadata is static and several words long, so the lowest bits are equal.
    let place = (address as u64 >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - KNOWN);
    LAST.try_with(|last| {
        let cell = &last[place as usize];
        match cell.get() {
            Some((of, at, callsite)) if of == id && at == address => callsite,
            _ => {
                let callsite = find();
                cell.set(Some((id, address, callsite)));
                callsite
            }
        }
    })
    .unwrap_or_else(|_| find())
}
