//! Fields of spans that are also attributes of their metrics.

use std::collections::HashSet;

use tracing::field::{Field, FieldSet, Visit};

use crate::base::cut::shorten;
use crate::signal::{SPAN_DURATION, sanitized};
use crate::telemetry::field_value::{self, FieldValue, VisitField, visits};
use crate::telemetry::secrets::Secrets;

/// The fields of spans that are attributes of their metrics.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Labels(Box<[Label]>);

#[derive(Clone, Debug)]
struct Label {
    field: Box<str>,
    /// The attribute of the metric: the name of the field, unless it collides with another attribute, also in Prometheus.
    attribute: Box<str>,
}

/// Values of labels, by the index of the label.
pub(in crate::telemetry) type Values = Vec<(usize, String)>;

/// The maximum length of a value, in bytes. A longer value is truncated.
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

    /// The labels of a span without such fields.
    pub(super) fn none(&self) -> Vec<Option<String>> {
        vec![None; self.0.len()]
    }

    pub(super) fn any_of(&self, fields: &FieldSet) -> bool {
        !self.0.is_empty() && fields.iter().any(|field| self.index(field_value::name(&field)).is_some())
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|label| *label.field == *name)
    }

    /// The attributes of the existing values.
    pub(super) fn pairs<'a>(
        &'a self,
        values: &'a [Option<String>],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.iter().zip(values);
        pairs.filter_map(|(label, value)| Some((&*label.attribute, value.as_deref()?)))
    }

    /// The labels in `record`; `None` if it has none.
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

impl VisitField for Reader<'_> {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field_value::name(field);
        if let Some(index) = self.labels.index(name) {
            // Longer than the limit, because a truncated secret would not be found.
            let text = value.text(8 * LONGEST);
            let mut text = self.secrets.text(name, &text).into_owned();
            shorten(&mut text, LONGEST);
            text.retain(|c| !c.is_control());
            self.values.push((index, text));
        }
    }
}

visits!(Reader<'_>);
