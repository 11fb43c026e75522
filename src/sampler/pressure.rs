//! The time that tasks waited for processors, memory or disks: pressure stall information (PSI) of the kernel.
//!
//! The files of the machine and of a control group have the same format. If the kernel has no such files, or refuses to
//! read them, these metrics are not reported.

use super::counter::{Counter, Rules};
use super::files::decimal;
use super::probe::{Labels, Sample};
use crate::base::clock::Tick;
use crate::signal::{PRESSURE_RECENT, PRESSURE_TIME};

/// The content of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pressure {
    /// At least one task waited.
    pub(super) some: Waited,
    /// All tasks waited.
    pub(super) full: Waited,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Waited {
    /// The share of the last ten seconds, in 0..=1.
    pub(super) recent: Option<f64>,
    /// The total time since the start, in microseconds.
    pub(super) total: Option<u64>,
}

/// The labels and counters of one resource.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    some: (Labels, Counter),
    full: (Labels, Counter),
}

impl Pressure {
    /// Parses a pressure file. Malformed values are left out. Either line may be missing: `irq` has no `some`, and `cpu`
    /// of old kernels has no `full`.
    pub(super) fn parse(text: &str) -> Self {
        let waited = |share: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(share)).unwrap_or_default();
            let field = |key: &str| line.split_ascii_whitespace().find_map(|field| field.strip_prefix(key));
            Waited {
                recent: field("avg10=").and_then(decimal).map(|percent| (percent / 100.0).min(1.0)),
                total: field("total=").and_then(|micros| micros.parse().ok()),
            }
        };
        Self { some: waited("some "), full: waited("full ") }
    }
}

impl Resource {
    /// `scope` is `system` or `container`, `resource` one of `cpu`, `io`, `memory` and `irq`.
    pub(super) fn new(scope: &'static str, resource: &'static str) -> Self {
        let labels = |share| Labels::new([("resource", resource), ("scope", scope), ("share", share)]);
        Self { some: (labels("some"), Counter::default()), full: (labels("full"), Counter::default()) }
    }

    /// Marks that the next reading is of another control group.
    pub(super) fn replace(&mut self) {
        self.some.1.replace();
        self.full.1.replace();
    }

    #[allow(clippy::cast_precision_loss)] // Exact for 285 years.
    pub(super) fn emit(&mut self, pressure: &Pressure, now: Tick, sample: &mut Sample) {
        for (waited, (labels, counter)) in [(pressure.some, &mut self.some), (pressure.full, &mut self.full)]
        {
            sample.with(&PRESSURE_RECENT, waited.recent, labels);
            let total = waited.total.and_then(|micros| counter.take(micros as f64, now, &Rules::WIDE));
            sample.with(&PRESSURE_TIME, total.map(|micros| micros / 1e6), labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read_and_malformed_values_are_left_out() {
        let text = "some avg10=19.06 avg60=12.05 avg300=5.14 total=14032633030\n\
            full avg10=0.47 avg60=2.65 avg300=3.29 total=323368813\n";
        let pressure = Pressure::parse(text);
        assert_eq!(pressure.some, Waited { recent: Some(0.1906), total: Some(14_032_633_030) });
        assert_eq!(pressure.full.total, Some(323_368_813));
        for bad in ["", "some", "someö", "some avg10=x total=", "some avg10=-1 total=-1", "some avg60=1.00"]
        {
            assert_eq!(Pressure::parse(bad), Pressure::default(), "{bad}");
        }
        // Each value is read on its own.
        let negative = Pressure::parse("some avg10=-1.00 avg60=0.00 avg300=0.00 total=1\n").some;
        assert_eq!(negative, Waited { recent: None, total: Some(1) });
        assert_eq!(Pressure::parse("some avg10=1.00").some, Waited { recent: Some(0.01), total: None });
        assert_eq!(Pressure::parse("full avg10=100.49 avg60=0.00 total=1\n").full.recent, Some(1.0));
    }
}
