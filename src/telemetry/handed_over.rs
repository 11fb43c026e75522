//! The series of a span that this crate makes itself, handed over to the span layer.
//!
//! The layers of requests know the series before they make the span. A span layer that finds it does not have to read the
//! fields of an unsampled span.

use std::cell::Cell;

use super::red::SeriesId;

thread_local! {
    /// The table of series, and the series in it.
    static SERIES: Cell<Option<(u64, SeriesId)>> = const { Cell::new(None) };
}

/// Makes a span of a request, whose series in the table `table` is `series`.
#[inline]
pub(super) fn handing_over<T>(table: u64, series: SeriesId, make: impl FnOnce() -> T) -> T {
    let _ = SERIES.try_with(|cell| cell.set(Some((table, series))));
    let made = make();
    let _ = SERIES.try_with(|cell| cell.set(None));
    made
}

/// The series of the span that is being made, if it is one of the table `table`.
#[inline]
pub(super) fn handed_over(table: u64) -> Option<SeriesId> {
    SERIES.try_with(Cell::get).ok().flatten().filter(|(of, _)| *of == table).map(|(_, series)| series)
}
