//! The labels of series, from the attributes of their points.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use opentelemetry::{Array, KeyValue, Value};

use super::names::digest;
use crate::signal::sanitized;

/// A label's name and value.
pub(super) type Label = (String, String);

/// Labels that are added where series would otherwise have the same labels.
pub(super) const SCOPE_NAME: &str = "otel_scope_name";
pub(super) const SCOPE_VERSION: &str = "otel_scope_version";
pub(super) const STREAM: &str = "otel_stream";
pub(super) const ATTRIBUTES: &str = "otel_attributes";

/// Whether the label has a meaning to Prometheus, its formats or this module.
fn reserved(label: &str) -> bool {
    ["le", "quantile", "job", "instance", STREAM, ATTRIBUTES].contains(&label)
        || label.starts_with("otel_scope_")
}

/// The labels of `attributes`, sorted by name. `changed` gets the labels of reserved and of joined attributes.
///
/// A reserved name gets the prefix `exported_`, as Prometheus adds it to `job` and `instance`. If several attributes become
/// one label, their values are joined by `;` in the order of the attributes' names, as OpenTelemetry specifies it. An
/// attribute with an empty value has no label.
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

/// Adds the label [`ATTRIBUTES`], a digest of the attributes, to series with the same labels. Returns whether there are any.
pub(super) fn disambiguate(series: &mut [(Vec<Label>, Vec<&KeyValue>)]) -> bool {
    let mut same: HashMap<&[Label], usize> = HashMap::with_capacity(series.len());
    for (labels, _) in series.iter() {
        *same.entry(labels).or_default() += 1;
    }
    if same.len() == series.len() {
        return false;
    }
    let alike: Vec<bool> = series.iter().map(|(labels, _)| same[&labels[..]] > 1).collect();
    drop(same);
    let mut seen = HashMap::new();
    for ((labels, attributes), _) in series.iter_mut().zip(alike).filter(|(_, alike)| *alike) {
        let mut value = attributes_digest(attributes);
        let uses: &mut usize = seen.entry(value.clone()).or_default();
        *uses += 1;
        if *uses > 1 {
            // The SDK keeps two points with the same attributes only if a value is NaN.
            value = format!("{value}-{uses}");
        }
        insert(labels, ATTRIBUTES, value);
    }
    true
}

/// Inserts a label in the order of names.
pub(super) fn insert(labels: &mut Vec<Label>, name: &str, value: String) {
    let place = labels.partition_point(|(other, _)| other.as_str() < name);
    labels.insert(place, (name.to_owned(), value));
}

/// A digest of the names, types and values of attributes. It does not depend on their order.
fn attributes_digest(attributes: &[&KeyValue]) -> String {
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
    fn attributes_of_the_crate_need_no_change_to_be_labels() {
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
    fn series_with_the_same_labels_get_a_digest_in_any_order() {
        let (text, number) = (KeyValue::new("a", "1"), KeyValue::new("a", 1));
        let other = KeyValue::new("a", "2");
        let labels = |points: [&KeyValue; 3]| {
            let mut series: Vec<_> = points
                .into_iter()
                .map(|it| (vec![("a".to_owned(), it.value.as_str().into_owned())], vec![it]))
                .collect();
            assert!(disambiguate(&mut series));
            let mut labels: Vec<_> = series.into_iter().map(|(labels, _)| labels).collect();
            labels.sort();
            labels
        };
        let found = labels([&text, &number, &other]);
        assert_eq!(found, labels([&other, &number, &text]));
        assert_eq!(found.iter().filter(|labels| labels.len() == 2).count(), 2, "{found:?}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
