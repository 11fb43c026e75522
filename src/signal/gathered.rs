//! The series of a metric during a collection.

use std::borrow::Cow;
use std::collections::HashMap;

use opentelemetry::KeyValue;

use super::names::WHOLE_NUMBERS;

/// Values with their attributes.
pub(super) type Values = Vec<(f64, Vec<KeyValue>)>;

/// The values of one metric during a collection.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) values: Values,
    /// The indexes in `values`.
    places: HashMap<Vec<KeyValue>, usize>,
}

impl Gathered {
    pub(super) fn push(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        self.values.push((value, owned(attributes)));
    }

    /// Adds a value to the series with these attributes.
    pub(super) fn add(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        let attributes = owned(attributes);
        match self.places.get(&attributes).and_then(|place| self.values.get_mut(*place)) {
            Some((sum, _)) => *sum += value,
            None => {
                self.places.insert(attributes.clone(), self.values.len());
                self.values.push((value, attributes));
            }
        }
    }
}

fn owned(attributes: &[(&'static str, &str)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| key_value(key, Cow::Owned((*value).to_owned()))).collect()
}

/// An attribute, with its type by the convention.
pub(super) fn key_value(key: &'static str, value: Cow<'static, str>) -> KeyValue {
    match value.parse::<i64>() {
        Ok(number) if WHOLE_NUMBERS.contains(&key) => KeyValue::new(key, number),
        _ => KeyValue::new(key, value),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Value;

    use super::*;

    #[test]
    fn values_with_the_same_attributes_are_added_up() {
        for number in [1, 16, 17, 2_000] {
            let mut gathered = Gathered::default();
            for value in [1.0, 10.0, 100.0] {
                for series in 0..number {
                    let series = series.to_string();
                    let attributes = [("cpu.logical_number", &*series), ("cpu.mode", "user")];
                    gathered.add(value, &attributes);
                }
            }
            assert_eq!(gathered.values.len(), number);
            for (place, (value, attributes)) in gathered.values.iter().enumerate() {
                let series = i64::try_from(place).unwrap();
                assert_eq!((*value, &attributes[0].value), (111.0, &Value::I64(series)));
            }
        }
    }
}
