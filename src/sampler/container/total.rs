//! Counters that go on when what they are read from is another.

/// A counter of a group, shown as it reads until it begins elsewhere, and shifted from then on.
///
/// The process may be moved, and a group may be made anew under its old name: the difference between the counters is
/// nothing that happened since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    shown: Option<f64>,
    read: f64,
    shift: f64,
}

impl Total {
    /// What to show for a counter that now reads so.
    pub(super) fn next(&mut self, read: f64) -> f64 {
        // NaN after `elsewhere`, which nothing goes on from.
        let goes_on = read >= self.read;
        if let Some(shown) = self.shown.filter(|_| !goes_on) {
            self.shift = shown - read;
        }
        self.read = read;
        *self.shown.insert(read + self.shift)
    }

    /// The next reading is of another group.
    pub(super) fn elsewhere(&mut self) {
        self.read = f64::NAN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_counter_is_no_growth() {
        let mut total = Total::default();
        assert_eq!([5.0, 5.0, 7.0].map(|read| total.next(read)), [5.0, 5.0, 7.0]);
        total.elsewhere();
        assert_eq!([1_000.0, 1_001.0].map(|read| total.next(read)), [7.0, 8.0]);
        // Made anew.
        assert_eq!([0.0, 2.0].map(|read| total.next(read)), [8.0, 10.0]);
    }

    #[test]
    fn what_was_never_read_begins_where_it_is() {
        let mut total = Total::default();
        total.elsewhere();
        assert_eq!(total.next(3.0), 3.0);
    }
}
