//! The properties of callsites, with a cache for each thread.

use std::cell::Cell;

use tracing::Metadata;

use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::fields::SpecialFields;

/// Identifies a series: a component, a span name and the values of the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) struct SeriesId(pub(super) u32);

/// The properties of a callsite.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Callsite {
    /// The series of spans without fields that change it.
    pub(in crate::telemetry) series: SeriesId,
    pub(in crate::telemetry) special: SpecialFields,
    /// Whether it has a field that is a label.
    pub(in crate::telemetry) labelled: bool,
    /// Whether it belongs to the pipeline itself.
    pub(in crate::telemetry) ignored: bool,
    /// Whether a layer of requests makes its spans, which may hand over their series.
    pub(in crate::telemetry) of_requests: bool,
}

/// Returns a number that is unique in the process. The address of a dropped table may be reused.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The size of the cache, as a power of two.
const CACHED: u32 = 6;

thread_local! {
    /// The last callsites of this thread, of all layers. Entries never change.
    static LAST: [Cell<Option<(u64, usize, Callsite)>>; 1 << CACHED] =
        const { [const { Cell::new(None) }; 1 << CACHED] };
}

/// The cached entry of the callsite of `metadata` in the table `id`, otherwise the result of `find`.
#[inline]
pub(super) fn cached(id: u64, metadata: &'static Metadata<'static>, find: impl Fn() -> Callsite) -> Callsite {
    let address = std::ptr::from_ref(metadata).addr();
    // Metadata is static and several words long, so the lowest bits are equal.
    let place = (address as u64 >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - CACHED);
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
