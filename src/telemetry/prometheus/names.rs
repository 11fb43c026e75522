//! The names of families, from those of instruments.

use hmac_sha256::Hash;

use crate::signal::{Kind, sanitized};

/// Units of UCUM and their names in Prometheus.
const UNITS: [(&str, &str); 29] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("B", "bytes"),
    ("KB", "kilobytes"),
    ("MB", "megabytes"),
    ("GB", "gigabytes"),
    ("TB", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
];

/// Units of UCUM after the slash of a rate.
const UNITS_OF_RATES: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

fn find(words: &[(&str, &'static str)], unit: &str) -> Option<&'static str> {
    words.iter().find(|(ucum, _)| *ucum == unit).map(|(_, word)| *word)
}

/// The name of a unit in Prometheus. `None` for counts of things (`{call}`) and for unknown units.
pub(super) fn unit(ucum: &str) -> Option<String> {
    let mut plain = String::with_capacity(ucum.len());
    let mut depth = 0_usize;
    for c in ucum.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let word = match plain.split_once('/') {
        Some((what, per)) => {
            let per = find(&UNITS_OF_RATES, per)?;
            return Some(match find(&UNITS, what) {
                Some(what) => format!("{what}_per_{per}"),
                None => format!("per_{per}"),
            });
        }
        None if plain == "1" => "ratio",
        None if plain == "%" => "percent",
        None => find(&UNITS, &plain)?,
    };
    Some(word.to_owned())
}

/// The suffixes that the samples of a family add to its name.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["_total", "_created"],
        Kind::Histogram => &["_bucket", "_sum", "_count", "_created"],
        Kind::UpDownCounter | Kind::Gauge => &[],
    }
}

/// Every name that a family occupies: its own, and those that OpenMetrics allows for its samples.
pub(super) fn occupied(family: &str, kind: Kind) -> impl Iterator<Item = String> {
    let endings = [""].into_iter().chain(suffixes(kind).iter().copied());
    endings.map(move |ending| format!("{family}{ending}"))
}

/// The parts of an instrument that decide the name of its family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InstrumentId {
    pub(super) name: String,
    /// The index in [`KINDS`], because `Kind` has no order.
    kind: usize,
    /// The name of its unit in Prometheus.
    pub(super) unit: Option<String>,
}

const KINDS: [Kind; 4] = [Kind::Counter, Kind::UpDownCounter, Kind::Gauge, Kind::Histogram];
/// The words that distinguish instruments with the same name and different kinds. `promtool` warns about `gauge` and
/// the like.
const WORDS_OF_KINDS: [&str; 4] = ["cumulative", "net", "current", "distribution"];

impl InstrumentId {
    pub(super) fn new(name: &str, kind: Kind, unit: Option<String>) -> Self {
        let place = KINDS.iter().position(|it| *it == kind).unwrap_or_default();
        Self { name: name.to_owned(), kind: place, unit }
    }

    pub(super) fn kind(&self) -> Kind {
        KINDS[self.kind]
    }

    /// The name of the family: the plain one at `step` 0, then with each step one that is less likely to collide.
    pub(super) fn family(&self, step: u8) -> String {
        let mut name = sanitized(&self.name);
        let unit = self.unit.as_deref();
        if step == 0 {
            if self.kind() == Kind::Counter {
                strip_suffix(&mut name, "_total");
            }
            if let Some(unit) = unit.filter(|unit| name != **unit && !ends_with(&name, unit)) {
                append(&mut name, unit);
            }
            // Conventions name gauges so (`system.cpu.logical.count`), but in Prometheus `_count` belongs to a histogram.
            if matches!(self.kind(), Kind::Gauge | Kind::UpDownCounter) {
                strip_suffix(&mut name, "_count");
            }
            return name;
        }
        if let Some(unit) = unit.filter(|unit| ends_with(&name, unit)) {
            name.truncate(name.len() - unit.len() - 1);
        }
        append(&mut name, WORDS_OF_KINDS[self.kind]);
        if step > 1 {
            let (unit, step) = (unit.unwrap_or_default(), step.to_string());
            let parts = [&self.name, WORDS_OF_KINDS[self.kind], unit, &step];
            append(&mut name, &digest(parts)[..8]);
        }
        // OpenMetrics requires the unit at the end.
        unit.into_iter().for_each(|unit| append(&mut name, unit));
        name
    }
}

/// Whether `word` is the last word of `name`, and not the only one.
pub(super) fn ends_with(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'))
}

fn strip_suffix(name: &mut String, ending: &str) {
    while let Some(rest) = name.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
        name.truncate(rest.len());
    }
}

fn append(name: &mut String, word: &str) {
    if !name.ends_with('_') {
        name.push('_');
    }
    name.push_str(word);
}

/// A digest of `parts` as 16 hexadecimal digits. It is the same in every process.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Hash::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::METRICS;
    use std::collections::HashMap;

    #[test]
    fn units_have_names() {
        for (ucum, word) in [
            ("s", Some("seconds")),
            ("By", Some("bytes")),
            ("By{compressed}", Some("bytes")),
            ("1", Some("ratio")),
            ("%", Some("percent")),
            ("By/s", Some("bytes_per_second")),
            ("{call}/s", Some("per_second")),
            ("1/y", Some("per_year")),
            ("{call}", None),
            ("{open", None),
            ("}", None),
            ("By/", None),
            ("parsec", None),
            ("", None),
        ] {
            assert_eq!(unit(ucum).as_deref(), word, "{ucum}");
        }
    }

    #[test]
    fn a_name_repeats_no_unit_and_no_suffix() {
        let name = |name, kind, unit: &str| InstrumentId::new(name, kind, super::unit(unit)).family(0);
        for (instrument, kind, unit, family) in [
            ("jobs", Kind::Counter, "{job}", "jobs"),
            ("jobs.total", Kind::Counter, "", "jobs"),
            ("jobs.total.total", Kind::Counter, "", "jobs"),
            ("jobs.bytes.total", Kind::Counter, "By", "jobs_bytes"),
            ("sent.bytes", Kind::UpDownCounter, "By", "sent_bytes"),
            ("took.seconds", Kind::Histogram, "s", "took_seconds"),
            ("took.milliseconds", Kind::Histogram, "s", "took_milliseconds_seconds"),
            ("seconds", Kind::Gauge, "s", "seconds"),
            ("total", Kind::Counter, "", "total"),
            ("host.cores.count", Kind::Gauge, "{cpu}", "host_cores"),
            ("file.count", Kind::Gauge, "By", "file_count_bytes"),
            ("file.count", Kind::Counter, "", "file_count"),
            ("trailing.", Kind::Gauge, "s", "trailing_seconds"),
        ] {
            assert_eq!(name(instrument, kind, unit), family, "{instrument}");
        }
    }

    #[test]
    fn names_of_each_step_end_with_the_unit() {
        let id = InstrumentId::new("wait.seconds", Kind::Gauge, unit("s"));
        assert_eq!([0, 1].map(|step| id.family(step)), ["wait_seconds", "wait_current_seconds"]);
        let far = id.family(2);
        assert!(far.starts_with("wait_current_") && far.ends_with("_seconds"), "{far}");
        assert_ne!(far, id.family(3));
    }

    #[test]
    fn metrics_of_the_crate_do_not_collide() {
        let mut names = HashMap::new();
        for metric in METRICS {
            let family = InstrumentId::new(metric.name, metric.kind, unit(metric.unit)).family(0);
            for name in occupied(&family, metric.kind) {
                if let Some(other) = names.insert(name.clone(), metric.name) {
                    panic!("{} and {other} both take {name}", metric.name);
                }
            }
        }
    }
}
