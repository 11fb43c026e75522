//! The series of a metric, while sources tell them.
//!
//! A machine of 128 processors has a thousand series of one counter, and each may be told in parts: to look for its
//! equals must not take longer the more there are.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;
use opentelemetry::KeyValue;

use super::names::WHOLE_NUMBERS;

/// Values with the attributes they stand under.
pub(super) type Values = Vec<(f64, Vec<KeyValue>)>;

/// The values of one metric while sources tell them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) values: Values,
    /// Places in `values` by their attributes; empty as long as there are few.
    index: HashTable<usize>,
}

impl Gathered {
    /// So many series are found faster by looking at each.
    const FEW: usize = 16;

    pub(super) fn push(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        let own = |(key, value): &(&'static str, &str)| key_value(key, Cow::Owned((*value).to_owned()));
        self.values.push((value, attributes.iter().map(own).collect()));
    }

    pub(super) fn add(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        let same = |(_, others): &(f64, Vec<KeyValue>)| {
            others.len() == attributes.len()
                && others.iter().zip(attributes).all(|(other, (key, value))| {
                    other.key.as_str() == *key && *other.value.as_str() == **value
                })
        };
        if self.values.len() < Self::FEW {
            match self.values.iter_mut().find(|others| same(others)) {
                Some(found) => found.0 += value,
                None => self.push(value, attributes),
            }
            return;
        }
        let values = &self.values;
        let hash_at = |place: &usize| {
            let others = values.get(*place).map(|(_, others)| others.as_slice()).unwrap_or_default();
            hash(others.iter().map(|other| (other.key.as_str(), other.value.as_str())))
        };
        if self.index.is_empty() {
            for place in 0..values.len() {
                self.index.insert_unique(hash_at(&place), place, hash_at);
            }
        }
        let wanted = hash(attributes.iter().map(|(key, value)| (*key, Cow::Borrowed(*value))));
        let is = |place: &usize| values.get(*place).is_some_and(same);
        if let Some(place) = self.index.find(wanted, is).copied() {
            self.values.get_mut(place).into_iter().for_each(|found| found.0 += value);
        } else {
            self.index.insert_unique(wanted, values.len(), hash_at);
            self.push(value, attributes);
        }
    }
}

fn hash<'a>(attributes: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    attributes.for_each(|pair| pair.hash(&mut hasher));
    hasher.finish()
}

/// An attribute, of the type that the convention gives it.
pub(super) fn key_value(key: &'static str, value: Cow<'static, str>) -> KeyValue {
    match value.parse::<i64>() {
        Ok(number) if WHOLE_NUMBERS.contains(&key) => KeyValue::new(key, number),
        _ => KeyValue::new(key, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Value;

    #[test]
    fn many_series_add_up_like_few() {
        for number in [1, Gathered::FEW, Gathered::FEW + 1, 2_000] {
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
