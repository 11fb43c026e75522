//! Fields of spans that are attributes of their metrics as well.

use std::collections::HashSet;
use std::fmt;

use tracing::field::{Field, FieldSet, Visit};

use crate::cut::shorten;
use crate::signal::{SPAN_DURATION, sanitized};
use crate::telemetry::secrets::Secrets;

/// The fields that people want to tell spans apart by, in their metrics.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Labels(Box<[Label]>);

#[derive(Clone, Debug)]
struct Label {
    field: Box<str>,
    /// The attribute of the metric: the field, unless the metric has that already, or one that is the same to Prometheus.
    attribute: Box<str>,
}

/// Values of labels, by the place of the label.
pub(in crate::telemetry) type Values = Vec<(usize, String)>;

/// Bytes of a value: what is longer is no label.
const LONGEST: usize = 128;

impl Labels {
    pub(in crate::telemetry) fn new(names: &[String]) -> Self {
        let mut taken: HashSet<String> =
            SPAN_DURATION.attributes.iter().map(|name| sanitized(name)).collect();
        let label = |field: &String| {
            let mut attribute = field.clone();
            while taken.contains(&sanitized(&attribute)) {
                attribute.insert_str(0, "field.");
            }
            taken.insert(sanitized(&attribute));
            Label { field: field.as_str().into(), attribute: attribute.into() }
        };
        Self(names.iter().map(label).collect())
    }

    /// What a span has that has none of the fields.
    pub(super) fn none(&self) -> Vec<Option<String>> {
        vec![None; self.0.len()]
    }

    pub(super) fn any_of(&self, fields: &FieldSet) -> bool {
        !self.0.is_empty() && fields.iter().any(|field| self.place(field.name()).is_some())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|label| *label.field == *name)
    }

    /// Attributes of the values that are there.
    pub(super) fn pairs<'a>(
        &'a self,
        values: &'a [Option<String>],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.iter().zip(values);
        pairs.filter_map(|(label, value)| Some((&*label.attribute, value.as_deref()?)))
    }

    /// What `record` tells about the labels; nothing if it says nothing about them.
    pub(in crate::telemetry) fn read(
        &self,
        secrets: &Secrets,
        record: impl FnOnce(&mut dyn Visit),
    ) -> Option<Values> {
        let mut reader = Reader { labels: self, secrets, values: Values::new() };
        record(&mut reader);
        (!reader.values.is_empty()).then_some(reader.values)
    }
}

struct Reader<'a> {
    labels: &'a Labels,
    secrets: &'a Secrets,
    values: Values,
}

impl Reader<'_> {
    fn take(&mut self, field: &Field, value: &dyn fmt::Display) {
        if let Some(place) = self.labels.place(field.name()) {
            let value = value.to_string();
            let mut value = self.secrets.text(field.name(), &value).into_owned();
            shorten(&mut value, LONGEST);
            value.retain(|c| !c.is_control());
            self.values.push((place, value));
        }
    }
}

impl Visit for Reader<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, &value);
    }

    /// Whole numbers and `bool` come here too: what they print is the same.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format_args!("{value:?}"));
    }
}
