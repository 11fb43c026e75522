//! How long tasks waited for processors, memory or disks: what the kernel calls pressure (PSI).
//!
//! The machine and a control group tell it in files of one form. A kernel without it has no such files, or refuses to
//! read them: then there are no such metrics.

use std::time::Duration;

use procfs::parse_pressure_record;

use super::files::hundredths;
use super::probe::{Labels, Sample};
use crate::signal::{PRESSURE_RECENT, PRESSURE_TIME};

/// What a pressure file says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pressure {
    /// At least one task waited.
    pub(super) some: Option<Waited>,
    /// All tasks waited.
    pub(super) full: Option<Waited>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waited {
    /// Share of the last ten seconds, in 0..=1.
    pub(super) recent: f64,
    /// All of it since the start.
    pub(super) total: Duration,
}

/// The labels of one resource, to be made once.
#[derive(Clone, Debug)]
pub(super) struct PressureLabels {
    some: Labels,
    full: Labels,
}

impl Pressure {
    /// Reads a pressure file; what does not look as it should is left out. Either line may be missing: `irq` has no
    /// `some`, and `cpu` of old kernels no `full`.
    pub(super) fn parse(text: &str) -> Self {
        let waited = |share: &str| {
            // `procfs` cuts five bytes off without a look.
            let record = parse_pressure_record(text.lines().find(|line| line.starts_with(share))?).ok()?;
            let recent = (hundredths(record.avg10)? / 100.0).min(1.0);
            Some(Waited { recent, total: Duration::from_micros(record.total) })
        };
        Self { some: waited("some "), full: waited("full ") }
    }

    pub(super) fn emit(&self, sample: &mut Sample, labels: &PressureLabels) {
        for (waited, labels) in [(self.some, &labels.some), (self.full, &labels.full)] {
            sample.with(&PRESSURE_RECENT, waited.map(|waited| waited.recent), labels);
            sample.with(&PRESSURE_TIME, waited.map(|waited| waited.total.as_secs_f64()), labels);
        }
    }
}

impl PressureLabels {
    /// `scope` is `system` or `container`, `resource` one of `cpu`, `io`, `memory` and `irq`.
    pub(super) fn new(scope: &'static str, resource: &'static str) -> Self {
        let labels = |share| Labels::new([("resource", resource), ("scope", scope), ("share", share)]);
        Self { some: labels("some"), full: labels("full") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read_and_what_is_malformed_is_left_out() {
        let text = "some avg10=19.06 avg60=12.05 avg300=5.14 total=14032633030\n\
            full avg10=0.47 avg60=2.65 avg300=3.29 total=323368813\n";
        let pressure = Pressure::parse(text);
        let some = Waited { recent: 0.1906, total: Duration::from_micros(14_032_633_030) };
        assert_eq!(pressure.some, Some(some));
        assert_eq!(pressure.full.unwrap().total, Duration::from_micros(323_368_813));
        for bad in [
            "",
            "some",
            "someö",
            "some avg10=1.00",
            "some avg10=x total=1",
            "some avg10=-1 total=1",
            "full total=7",
        ] {
            assert_eq!(Pressure::parse(bad), Pressure::default(), "{bad}");
        }
        let negative = "some avg10=-1.00 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(Pressure::parse(negative), Pressure::default());
        let much = Pressure::parse("full avg10=100.49 avg60=0.00 avg300=0.00 total=1\n").full.unwrap();
        assert_eq!(much.recent, 1.0);
    }
}
