//! The recent values of a vital sign, in as few points as a trend needs.

/// The number of points of a trend.
pub(super) const POINTS: usize = 24;

/// The last [`POINTS`] points, in a ring.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Seconds since the first round, as integers: an `f32` would lose seconds within a year.
    at: [u32; POINTS],
    value: [f32; POINTS],
    len: u8,
    next: u8,
}

impl Default for Series {
    fn default() -> Self {
        Self { at: [0; POINTS], value: [0.0; POINTS], len: 0, next: 0 }
    }
}

impl Series {
    #[allow(clippy::cast_possible_truncation)] // POINTS is far below 256.
    pub(super) fn push(&mut self, at: u32, value: f32) {
        let index = usize::from(self.next);
        self.at[index] = at;
        self.value[index] = value;
        self.next = if index + 1 < POINTS { index as u8 + 1 } else { 0 };
        self.len = self.len.saturating_add(1).min(POINTS as u8);
    }

    pub(super) fn clear(&mut self) {
        (self.len, self.next) = (0, 0);
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The time of the newest point.
    pub(super) fn last(&self) -> Option<u32> {
        let index = (usize::from(self.next) + POINTS - 1) % POINTS;
        (self.len > 0).then(|| self.at[index])
    }

    /// All points, the oldest first, with the seconds since the oldest.
    pub(super) fn points(&self) -> impl ExactSizeIterator<Item = (f32, f32)> + Clone {
        // The start of the ring moves only once the ring is full.
        let begin = if self.len() < POINTS { 0 } else { usize::from(self.next) };
        let (len, first) = (self.len(), self.at[begin]);
        (0..len).map(move |offset| {
            let index = if begin + offset < POINTS { begin + offset } else { begin + offset - POINTS };
            (since(first, self.at[index]), self.value[index])
        })
    }

    /// The seconds from the oldest point to the newest.
    pub(super) fn span(&self) -> f64 {
        self.points().last().map_or(0.0, |(seconds, _)| f64::from(seconds))
    }

    /// The median of all values; 0 without values.
    pub(super) fn median(&self) -> f64 {
        self.median_of(f64::from)
    }

    /// The median distance of the values from `center`.
    pub(super) fn deviation(&self, center: f64, scale: impl Fn(f64) -> f64) -> f64 {
        self.median_of(|value| (scale(f64::from(value)) - center).abs())
    }

    #[allow(clippy::cast_possible_truncation)] // Made of values of the same width.
    fn median_of(&self, of: impl Fn(f32) -> f64) -> f64 {
        let mut values = [0.0_f32; POINTS];
        let values = &mut values[..self.len()];
        for (slot, (_, value)) in values.iter_mut().zip(self.points()) {
            *slot = of(value) as f32;
        }
        median(values)
    }
}

#[allow(clippy::cast_precision_loss)] // A series spans hours, not years.
fn since(first: u32, at: u32) -> f32 {
    at.saturating_sub(first) as f32
}

/// The median of some values: the mean of the two middle ones if their number is even; 0 without values.
pub(super) fn median(values: &mut [f32]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let upper = f64::from(*upper);
    if !even {
        return upper;
    }
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::midpoint(f64::from(lower), upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_points_are_kept_in_their_order() {
        let mut series = Series::default();
        assert_eq!((series.last(), series.points().len(), series.median()), (None, 0, 0.0));
        for minute in 0..100_u32 {
            series.push(minute * 60, minute as f32);
            let points: Vec<_> = series.points().collect();
            let first = (minute + 1).saturating_sub(POINTS as u32);
            let expected: Vec<_> =
                (first..=minute).map(|minute| ((minute - first) as f32 * 60.0, minute as f32)).collect();
            assert_eq!(points, expected);
            assert_eq!(series.last(), Some(minute * 60));
        }
        series.clear();
        assert_eq!(series.last(), None);
    }

    proptest! {
        #[test]
        fn the_median_is_that_of_the_sorted_values(mut values in prop::collection::vec(-1e6_f32..1e6, 1..50)) {
            let found = median(&mut values.clone());
            values.sort_by(f32::total_cmp);
            let half = values.len() / 2;
            let lower = if values.len() % 2 == 0 { values[half - 1] } else { values[half] };
            prop_assert_eq!(found, f64::midpoint(f64::from(lower), f64::from(values[half])));
        }
    }
}
