//! The series of a metric, while sources tell them.
//!
//! A machine of 128 processors has a thousand series of one counter, and each may be told in parts: to look for its
//! equals must not take longer the more there are.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use hashbrown::HashTable;
use opentelemetry::{KeyValue, Value};

use super::names::WHOLE_NUMBERS;

/// Values with the attributes they stand under.
pub(super) type Values = Vec<(f64, Vec<KeyValue>)>;

/// The values of one metric while sources tell them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) values: Values,
    /// Places in `values` by the hash of their attributes, which stands beside; empty as long as there are few.
    index: HashTable<(u64, usize)>,
}

impl Gathered {
    /// So many series are found faster by looking at each.
    const FEW: usize = 16;

    pub(super) fn push(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        let own = |(key, value): &(&'static str, &str)| key_value(key, Cow::Owned((*value).to_owned()));
        self.values.push((value, attributes.iter().map(own).collect()));
    }

    pub(super) fn add(&mut self, value: f64, attributes: &[(&'static str, &str)]) {
        if self.values.len() < Self::FEW {
            match self.values.iter_mut().find(|(_, others)| are(others, attributes)) {
                Some((sum, _)) => *sum += value,
                None => self.push(value, attributes),
            }
            return;
        }
        if self.index.is_empty() {
            for (place, (_, others)) in self.values.iter().enumerate() {
                let hash = hash(others.iter().map(|other| (other.key.as_str(), other.value.as_str())));
                self.index.insert_unique(hash, (hash, place), |(hash, _)| *hash);
            }
        }
        let hash = hash(attributes.iter().map(|(key, value)| (*key, Cow::Borrowed(*value))));
        let known = |place: usize| self.values.get(place).is_some_and(|(_, others)| are(others, attributes));
        match self.index.find(hash, |(other, place)| *other == hash && known(*place)) {
            Some((_, place)) => self.values.get_mut(*place).into_iter().for_each(|(sum, _)| *sum += value),
            None => {
                self.index.insert_unique(hash, (hash, self.values.len()), |(hash, _)| *hash);
                self.push(value, attributes);
            }
        }
    }
}

/// Whether these are the attributes that [`key_value`] makes of those.
fn are(ours: &[KeyValue], attributes: &[(&'static str, &str)]) -> bool {
    ours.len() == attributes.len()
        && ours.iter().zip(attributes).all(|(own, (key, value))| {
            own.key.as_str() == *key
                && match &own.value {
                    Value::String(own) => own.as_str() == *value,
                    Value::I64(own) => value.parse() == Ok(*own),
                    _ => false,
                }
        })
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
