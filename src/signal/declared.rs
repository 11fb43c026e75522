//! Metrics that the program declares at run time, beside the table of this crate.
//!
//! An instrument of the SDK cannot be removed, so a declared metric lives as long as the process. Their number is limited,
//! and so is that of the keys of their attributes.

use std::sync::{PoisonError, RwLock};

use super::names::{Kind, METRICS, Metric};

/// The maximum number of declared metrics.
pub(crate) const MOST_METRICS: usize = 256;
/// The maximum number of keys of attributes.
const MOST_KEYS: usize = 1_024;
/// The maximum bytes of a unit, by the OpenTelemetry specification.
const LONGEST_UNIT: usize = 63;
/// The maximum bytes of a name, by the OpenTelemetry specification.
const LONGEST_NAME: usize = 255;
/// The maximum bytes of a description or the key of an attribute.
const LONGEST_TEXT: usize = 255;

static DECLARED: RwLock<Vec<&'static Metric>> = RwLock::new(Vec::new());
static KEYS: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

/// All declared metrics, in the order of their declaration.
#[cfg(feature = "telemetry")]
pub(super) fn declared() -> Vec<&'static Metric> {
    DECLARED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The declared metric of this name, and whether this call declares it.
///
/// # Errors
/// If the name or unit breaks a rule of OpenTelemetry, if the name is one of this crate or has another kind or unit
/// already, or if there are too many metrics. The text says which.
pub(crate) fn add(
    name: &str,
    kind: Kind,
    unit: &str,
    description: &str,
) -> Result<(&'static Metric, bool), String> {
    let same = |known: &Metric| known.name.eq_ignore_ascii_case(name);
    let known =
        DECLARED.read().unwrap_or_else(PoisonError::into_inner).iter().copied().find(|known| same(known));
    if let Some(known) = known {
        return fitting(known, kind, unit).map(|known| (known, false));
    }
    check_name(name)?;
    if unit.len() > LONGEST_UNIT || !unit.is_ascii() {
        return Err(format!("the unit of `{name}` is not ASCII of at most {LONGEST_UNIT} bytes"));
    }
    if description.len() > LONGEST_TEXT {
        return Err(format!("the description of `{name}` is longer than {LONGEST_TEXT} bytes"));
    }
    let mut declared = DECLARED.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = declared.iter().copied().find(|known| same(known)) {
        return fitting(known, kind, unit).map(|known| (known, false));
    }
    if declared.len() >= MOST_METRICS {
        return Err(format!(
            "`{name}` would be one metric more than the {MOST_METRICS} that collectors may have"
        ));
    }
    let metric: &'static Metric = Box::leak(Box::new(Metric {
        name: leak(name),
        kind,
        unit: leak(unit),
        attributes: &[],
        description: leak(description),
    }));
    declared.push(metric);
    Ok((metric, true))
}

/// The declared metric of this name. Nothing reports it.
///
/// # Errors
/// Those of [`add`].
#[cfg(not(feature = "telemetry"))]
pub(crate) fn declare(
    name: &str,
    kind: Kind,
    unit: &str,
    description: &str,
) -> Result<&'static Metric, String> {
    add(name, kind, unit, description).map(|(metric, _)| metric)
}

/// The key of an attribute, kept for the life of the process.
///
/// # Errors
/// If it is empty or too long, or if there are too many keys.
pub(crate) fn key(text: &str) -> Result<&'static str, String> {
    let find = |keys: &[&'static str]| keys.iter().copied().find(|known| *known == text);
    if let Some(known) = find(&KEYS.read().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(known);
    }
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return Err(format!(
            "the key of an attribute has {} bytes; allowed: 1 to {LONGEST_TEXT}",
            text.len()
        ));
    }
    let mut keys = KEYS.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = find(&keys) {
        return Ok(known);
    }
    if keys.len() >= MOST_KEYS {
        return Err(format!("`{text}` would be one key more than the {MOST_KEYS} that attributes may have"));
    }
    keys.push(leak(text));
    keys.last().copied().ok_or_else(String::new)
}

fn leak(text: &str) -> &'static str {
    Box::leak(Box::<str>::from(text))
}

fn fitting(known: &'static Metric, kind: Kind, unit: &str) -> Result<&'static Metric, String> {
    if known.kind == kind && known.unit == unit {
        return Ok(known);
    }
    Err(format!(
        "`{}` is a {:?} in `{}` already; give the other metric another name",
        known.name, known.kind, known.unit
    ))
}

/// Checks a name by the rules of OpenTelemetry, and that it is none of this crate.
fn check_name(name: &str) -> Result<(), String> {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-' | '/');
    if !begins || name.len() > LONGEST_NAME || !name.chars().all(allowed) {
        let shown: String = name.chars().take(64).collect();
        return Err(format!(
            "{shown:?} is not a name of a metric: it begins with a letter, has at most {LONGEST_NAME} bytes, and only \
             letters, digits, `_`, `.`, `-` and `/`"
        ));
    }
    let own = METRICS.iter().any(|metric| metric.name.eq_ignore_ascii_case(name));
    let area = "campanile.";
    if own || name.get(..area.len()).is_some_and(|start| start.eq_ignore_ascii_case(area)) {
        return Err(format!("`{name}` is a name of this crate; choose another one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_units_and_kinds_are_checked() {
        let declare = |name: &str, kind, unit: &str| add(name, kind, unit, "").map(|(metric, _)| metric.name);
        assert_eq!(declare("declared.Depth-1/a_b", Kind::Gauge, "{job}"), Ok("declared.Depth-1/a_b"));
        assert_eq!(
            declare("DECLARED.depth-1/a_b", Kind::Gauge, "{job}"),
            Ok("declared.Depth-1/a_b"),
            "any case"
        );
        for (name, kind, unit, why) in [
            ("declared.Depth-1/a_b", Kind::Counter, "{job}", "is a Gauge in `{job}` already"),
            ("declared.Depth-1/a_b", Kind::Gauge, "s", "is a Gauge in `{job}` already"),
            ("", Kind::Gauge, "", "is not a name of a metric"),
            ("1st", Kind::Gauge, "", "begins with a letter"),
            ("queue depth", Kind::Gauge, "", "only letters"),
            ("tiefe.ü", Kind::Gauge, "", "only letters"),
            (&"a".repeat(256), Kind::Gauge, "", "at most 255 bytes"),
            ("campanile.depth", Kind::Gauge, "", "a name of this crate"),
            ("Process.Uptime", Kind::Gauge, "", "a name of this crate"),
            ("declared.unit", Kind::Gauge, "€", "the unit of `declared.unit`"),
            ("declared.unit", Kind::Gauge, &"u".repeat(64), "the unit of `declared.unit`"),
        ] {
            let error = declare(name, kind, unit).unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
        assert_eq!(key("declared.key"), key("declared.key"));
        assert!(key("").is_err() && key(&"k".repeat(256)).is_err());
    }
}
