//! Names of families, from those of instruments.

use hmac_sha256::Hash;

use crate::signal::{Kind, sanitized};

/// Units of UCUM in the words of Prometheus.
const WORDS: [(&str, &str); 29] = [
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

/// What a rate is by.
const PER: [(&str, &str); 7] = [
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

/// The word of a unit that a name ends with; none for counts of things (`{call}`) and for units that are not known.
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
            let per = find(&PER, per)?;
            return Some(match find(&WORDS, what) {
                Some(what) => format!("{what}_per_{per}"),
                None => format!("per_{per}"),
            });
        }
        None if plain == "1" => "ratio",
        None if plain == "%" => "percent",
        None => find(&WORDS, &plain)?,
    };
    Some(word.to_owned())
}

/// What the names of the samples of a family end with, beyond the name of the family itself.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["_total", "_created"],
        Kind::Histogram => &["_bucket", "_sum", "_count", "_created"],
        Kind::UpDownCounter | Kind::Gauge => &[],
    }
}

/// Every name that a family takes: its own, and those that its samples have or may have by OpenMetrics.
pub(super) fn taken(family: &str, kind: Kind) -> impl Iterator<Item = String> {
    let endings = [""].into_iter().chain(suffixes(kind).iter().copied());
    endings.map(move |ending| format!("{family}{ending}"))
}

/// An instrument, as far as its name for Prometheus goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) name: String,
    /// Kinds in an order of their own.
    kind: usize,
    /// The word of its unit.
    pub(super) unit: Option<String>,
}

const KINDS: [Kind; 4] = [Kind::Counter, Kind::UpDownCounter, Kind::Gauge, Kind::Histogram];
/// What tells instruments of one name and different kinds apart. `promtool` has objections to `gauge` and the like.
const WORDS_OF_KINDS: [&str; 4] = ["cumulative", "net", "current", "distribution"];

impl Named {
    pub(super) fn new(name: &str, kind: Kind, unit: Option<String>) -> Self {
        let place = KINDS.iter().position(|it| *it == kind).unwrap_or_default();
        Self { name: name.to_owned(), kind: place, unit }
    }

    pub(super) fn kind(&self) -> Kind {
        KINDS[self.kind]
    }

    /// The name of the family: the plain one at `step` 0, and with each step a longer one that fewer others have.
    pub(super) fn family(&self, step: u8) -> String {
        let mut name = sanitized(&self.name);
        let unit = self.unit.as_deref();
        if step == 0 {
            if self.kind() == Kind::Counter {
                without(&mut name, "_total");
            }
            if let Some(unit) = unit.filter(|unit| name != **unit && !ends_with(&name, unit)) {
                append(&mut name, unit);
            }
            // Conventions have such names for plain numbers (`system.cpu.logical.count`), but to Prometheus they are parts
            // of a histogram.
            if matches!(self.kind(), Kind::Gauge | Kind::UpDownCounter) {
                without(&mut name, "_count");
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
        // OpenMetrics wants the unit at the end.
        unit.into_iter().for_each(|unit| append(&mut name, unit));
        name
    }
}

/// Whether `word` is the last word of `name`, and not the only one.
pub(super) fn ends_with(name: &str, word: &str) -> bool {
    name.strip_suffix(word).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'))
}

fn without(name: &mut String, ending: &str) {
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

/// 16 hexadecimal digits that stand for `parts`, today and in the next process.
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
    fn units_are_words() {
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
    fn nothing_is_said_twice_in_a_name() {
        let name = |name, kind, unit: &str| Named::new(name, kind, super::unit(unit)).family(0);
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
    fn each_step_makes_a_name_that_its_unit_ends() {
        let named = Named::new("wait.seconds", Kind::Gauge, unit("s"));
        assert_eq!([0, 1].map(|step| named.family(step)), ["wait_seconds", "wait_current_seconds"]);
        let far = named.family(2);
        assert!(far.starts_with("wait_current_") && far.ends_with("_seconds"), "{far}");
        assert_ne!(far, named.family(3));
    }

    #[test]
    fn metrics_of_the_crate_are_in_the_way_of_none_of_its_own() {
        let mut names = HashMap::new();
        for metric in METRICS {
            let family = Named::new(metric.name, metric.kind, unit(metric.unit)).family(0);
            for name in taken(&family, metric.kind) {
                if let Some(other) = names.insert(name.clone(), metric.name) {
                    panic!("{} and {other} both take {name}", metric.name);
                }
            }
        }
    }
}
