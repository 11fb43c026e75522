//! The component that an event names.

use tracing::Event;
use tracing::field::Field;

use super::field_value::{self, FieldValue, VisitField, visits};
use super::secrets::Secrets;

/// The maximum length of a component, in bytes. A longer one is truncated.
const LONGEST: usize = 256;

/// The value of the field `component` of an event.
pub(super) fn event_component(event: &Event<'_>, secrets: &Secrets) -> Option<String> {
    // Without such a field, no value is visited.
    event.metadata().fields().field("component")?;
    let mut visitor = ComponentVisitor { found: None, secrets };
    event.record(&mut visitor);
    visitor.found
}

struct ComponentVisitor<'a> {
    found: Option<String>,
    secrets: &'a Secrets,
}

impl VisitField for ComponentVisitor<'_> {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field_value::name(field);
        if name == "component" {
            let text = value.text(LONGEST);
            self.found = Some(self.secrets.text(name, &text).into_owned()).filter(|text| !text.is_empty());
        }
    }
}

visits!(ComponentVisitor<'_>);
