//! Labels of series, from the attributes of their points.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use opentelemetry::{Array, KeyValue, Value};

use super::names::digest;
use crate::signal::sanitized;

/// A label's name and value.
pub(super) type Label = (String, String);

/// The labels that tell series apart that would be the same without.
pub(super) const SCOPE_NAME: &str = "otel_scope_name";
pub(super) const SCOPE_VERSION: &str = "otel_scope_version";
pub(super) const STREAM: &str = "otel_stream";
pub(super) const ATTRIBUTES: &str = "otel_attributes";

/// Whether Prometheus, its formats or this module give the label a meaning.
fn reserved(label: &str) -> bool {
    ["le", "quantile", "job", "instance", STREAM, ATTRIBUTES].contains(&label)
        || label.starts_with("otel_scope_")
}

/// The labels of `attributes`, sorted by their names. What had to be changed so that they are labels goes to `changed`.
///
/// A reserved name gets `exported_` in front, as Prometheus does it for `job` and `instance`. The values of attributes
/// that become one label are joined by `;` in the order of the attributes' names, as OpenTelemetry has it. A label
/// without a value is none.
pub(super) fn labels<'a>(
    attributes: impl Iterator<Item = (&'a str, &'a Value)>,
    changed: &mut BTreeSet<String>,
) -> Vec<Label> {
    let mut read: Vec<(String, &str, Cow<'_, str>)> = attributes
        .map(|(key, value)| {
            let mut label = sanitized(key);
            if reserved(&label) {
                label.insert_str(0, "exported_");
                changed.insert(label.clone());
            }
            (label, key, value.as_str())
        })
        .collect();
    read.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
    let mut labels: Vec<Label> = Vec::with_capacity(read.len() + 2);
    for (name, _, value) in read {
        match labels.last_mut() {
            Some((last, joined)) if *last == name => {
                joined.push(';');
                joined.push_str(&value);
                changed.insert(name);
            }
            _ => labels.push((name, value.into_owned())),
        }
    }
    labels.retain(|(_, value)| !value.is_empty());
    labels
}

/// Tells those of `series` apart that have the same labels, by a digest of their attributes; whether there were any.
pub(super) fn tell_apart(series: &mut [(Vec<Label>, Vec<&KeyValue>)]) -> bool {
    let mut same: HashMap<&[Label], usize> = HashMap::with_capacity(series.len());
    for (labels, _) in series.iter() {
        *same.entry(labels).or_default() += 1;
    }
    if same.len() == series.len() {
        return false;
    }
    let alike: Vec<bool> = series.iter().map(|(labels, _)| same[&labels[..]] > 1).collect();
    drop(same);
    let mut told = HashMap::new();
    for ((labels, attributes), _) in series.iter_mut().zip(alike).filter(|(_, alike)| *alike) {
        let mut value = identity(attributes);
        let before: &mut usize = told.entry(value.clone()).or_default();
        *before += 1;
        if *before > 1 {
            // The SDK holds no two of the same attributes, unless they are no numbers.
            value = format!("{value}-{before}");
        }
        add(labels, ATTRIBUTES, value);
    }
    true
}

/// Puts a label where its name belongs.
pub(super) fn add(labels: &mut Vec<Label>, name: &str, value: String) {
    let place = labels.partition_point(|(other, _)| other.as_str() < name);
    labels.insert(place, (name.to_owned(), value));
}

/// A digest of attributes with the kinds of their values, whatever their order.
fn identity(attributes: &[&KeyValue]) -> String {
    let mut parts: Vec<_> =
        attributes.iter().map(|it| (it.key.as_str(), kind(&it.value), it.value.as_str())).collect();
    parts.sort();
    digest(parts.iter().flat_map(|(key, kind, text)| [*key, *kind, &**text]))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::I64(_) => "i64",
        Value::F64(_) => "f64",
        Value::String(_) => "string",
        Value::Array(Array::Bool(_)) => "bools",
        Value::Array(Array::I64(_)) => "i64s",
        Value::Array(Array::F64(_)) => "f64s",
        Value::Array(Array::String(_)) => "strings",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::METRICS;

    fn read(attributes: &[KeyValue]) -> (String, Vec<String>) {
        let mut changed = BTreeSet::new();
        let pairs = attributes.iter().map(|it| (it.key.as_str(), &it.value));
        let labels: Vec<_> =
            labels(pairs, &mut changed).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        (labels.join(","), changed.into_iter().collect())
    }

    #[test]
    fn attributes_become_labels() {
        for (attributes, labels, changed) in [
            (
                vec![KeyValue::new("http.route", "/a"), KeyValue::new("code", 200)],
                "code=200,http_route=/a",
                vec![],
            ),
            (vec![KeyValue::new("a.b", "x"), KeyValue::new("a-b", "y")], "a_b=y;x", vec!["a_b"]),
            (vec![KeyValue::new("le", "x")], "exported_le=x", vec!["exported_le"]),
            (
                vec![KeyValue::new("otel.scope.name", "x")],
                "exported_otel_scope_name=x",
                vec!["exported_otel_scope_name"],
            ),
            (vec![KeyValue::new("__name__", "x"), KeyValue::new("9", true)], "_9=true,_name_=x", vec![]),
            (vec![KeyValue::new("empty", "")], "", vec![]),
        ] {
            assert_eq!(
                read(&attributes),
                (labels.to_owned(), changed.into_iter().map(String::from).collect())
            );
        }
    }

    #[test]
    fn attributes_of_the_crate_are_labels_as_they_are() {
        for metric in METRICS {
            let value = Value::from("x");
            let mut changed = BTreeSet::new();
            let found = labels(metric.attributes.iter().map(|name| (*name, &value)), &mut changed);
            assert!(
                changed.is_empty() && found.len() == metric.attributes.len(),
                "{}: {changed:?}",
                metric.name
            );
        }
    }

    #[test]
    fn series_of_the_same_labels_are_told_apart_whatever_their_order() {
        let (text, number) = (KeyValue::new("a", "1"), KeyValue::new("a", 1));
        let other = KeyValue::new("a", "2");
        let told = |points: [&KeyValue; 3]| {
            let mut series: Vec<_> = points
                .into_iter()
                .map(|it| (vec![("a".to_owned(), it.value.as_str().into_owned())], vec![it]))
                .collect();
            assert!(tell_apart(&mut series));
            let mut labels: Vec<_> = series.into_iter().map(|(labels, _)| labels).collect();
            labels.sort();
            labels
        };
        let found = told([&text, &number, &other]);
        assert_eq!(found, told([&other, &number, &text]));
        assert_eq!(found.iter().filter(|labels| labels.len() == 2).count(), 2, "{found:?}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
