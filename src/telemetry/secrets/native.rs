//! Redaction of spans and log records of the OpenTelemetry API, which are redacted when they are finished.

use std::borrow::Cow;
use std::fmt;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{Event, Status};
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::redact::{FieldClass, Secrets};
use crate::base::redact::Format;

impl Secrets {
    /// Redacts a span of the OpenTelemetry API.
    pub(in crate::telemetry) fn clean_span(&self, span: &mut SpanData) {
        self.replace(&mut span.name);
        self.clean_attributes(&mut span.attributes);
        for Event { name, attributes, .. } in &mut span.events.events {
            self.replace(name);
            self.clean_attributes(attributes);
        }
        for link in &mut span.links.links {
            self.clean_attributes(&mut link.attributes);
        }
        if let Status::Error { description } = &mut span.status {
            self.replace(description);
        }
    }

    fn replace(&self, text: &mut Cow<'static, str>) {
        if let Some(clean) = self.redactor.redact(text, Format::Text, &mut |_| ()) {
            *text = Cow::Owned(clean);
        }
    }

    pub(in crate::telemetry) fn clean_attributes(&self, attributes: &mut [KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            // Not cached, because these keys may be dynamic.
            let class = self.classify(key.as_str());
            let clean = match &mut *value {
                Value::Array(Array::String(texts)) => {
                    for text in texts {
                        if let Some(clean) = self.clean_text(class, text.as_str()) {
                            *text = clean;
                        }
                    }
                    continue;
                }
                Value::String(text) => self.clean_text(class, text.as_str()),
                value if matches!(class, FieldClass::Secret(_)) => self.clean_text(class, &value.as_str()),
                Value::I64(number) => self.clean_card(*number),
                Value::Array(Array::I64(numbers)) => {
                    numbers.iter().find_map(|number| self.clean_card(*number))
                }
                _ => None,
            };
            if let Some(clean) = clean {
                *value = Value::String(clean);
            }
        }
    }

    fn clean_card(&self, number: i64) -> Option<StringValue> {
        self.redactor.number(u64::try_from(number).ok()?).map(StringValue::from)
    }

    fn clean_text(&self, class: FieldClass, text: &str) -> Option<StringValue> {
        let sort = match class {
            FieldClass::Secret(rule) => match self.secret_text(rule, text) {
                Some(hidden) => return Some(hidden.into()),
                None => Format::Text,
            },
            FieldClass::Query => Format::Query,
            FieldClass::Plain => Format::Text,
        };
        self.redactor.redact(text, sort, &mut |_| ()).map(StringValue::from)
    }

    /// The redacted value with the name `name` in a log record, or `None` if it has no secret.
    pub(in crate::telemetry) fn clean_any(&self, name: &str, value: &AnyValue) -> Option<AnyValue> {
        let class = self.classify(name);
        match value {
            AnyValue::String(text) => self.clean_text(class, text.as_str()).map(AnyValue::String),
            AnyValue::Map(values) => {
                let hidden = matches!(class, FieldClass::Secret(_));
                let clean = |key: &Key, value: &AnyValue| {
                    self.clean_any(if hidden { name } else { key.as_str() }, value)
                };
                if !values.iter().any(|(key, value)| clean(key, value).is_some()) {
                    return None;
                }
                let pairs = values
                    .iter()
                    .map(|(key, value)| (key.clone(), clean(key, value).unwrap_or_else(|| value.clone())));
                Some(AnyValue::Map(Box::new(pairs.collect())))
            }
            AnyValue::ListAny(values) => {
                let clean: Vec<_> = values.iter().map(|value| self.clean_any(name, value)).collect();
                clean.iter().any(Option::is_some).then(|| {
                    let values = values.iter().zip(clean);
                    let values = values.map(|(value, clean)| clean.unwrap_or_else(|| value.clone()));
                    AnyValue::ListAny(Box::new(values.collect()))
                })
            }
            AnyValue::Int(number) if class == FieldClass::Plain => {
                let number = self.redactor.number(u64::try_from(*number).ok()?)?;
                Some(AnyValue::String(number.into()))
            }
            AnyValue::Int(number) => self.clean_text(class, &number.to_string()).map(AnyValue::String),
            AnyValue::Double(number) => self.clean_number(class, number),
            AnyValue::Boolean(yes) => self.clean_number(class, yes),
            AnyValue::Bytes(bytes) => {
                self.clean_number(class, &String::from_utf8_lossy(bytes)).or_else(|| {
                    match self.redactor.bytes(bytes) {
                        Cow::Owned(clean) => Some(AnyValue::Bytes(Box::new(clean))),
                        Cow::Borrowed(_) => None,
                    }
                })
            }
            _ => None,
        }
    }

    fn clean_number(&self, class: FieldClass, value: &dyn fmt::Display) -> Option<AnyValue> {
        let FieldClass::Secret(rule) = class else { return None };
        self.hidden_text(rule, &value.to_string()).map(|hidden| AnyValue::String(hidden.into()))
    }
}
