//! Carriers of the fields of a format: headers of a request, or any other text carrier.

#[cfg(feature = "http")]
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

use super::ignored::Reason;

/// The name of a field, prepared for lookup.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    #[cfg(feature = "http")]
    header: HeaderName,
}

impl Field {
    /// In lower case.
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            #[cfg(feature = "http")]
            header: HeaderName::from_static(name),
        }
    }
}

/// A carrier to read fields from.
pub(super) trait Carrier {
    /// Returns all values of `field`; `None` for one that is not text.
    fn for_each_value<'a>(&'a self, field: &Field, take: impl FnMut(Option<&'a str>));

    /// Returns the value of a field that must be unique.
    fn single_value(&self, field: &Field) -> Result<Option<&str>, Reason> {
        let mut found = Ok(None);
        self.for_each_value(field, |value| {
            found = match (&found, value) {
                (Ok(None), Some(value)) => Ok(Some(value.trim_ascii())),
                (Ok(None), None) => Err(Reason::Malformed),
                _ => Err(Reason::Repeated),
            };
        });
        found
    }
}

/// A carrier to write fields to.
pub(super) trait Writer {
    /// Sets `field`, replacing its value.
    fn set(&mut self, field: &Field, value: String);

    /// Removes `field`, if the carrier can.
    fn remove(&mut self, field: &Field);
}

/// A carrier of the OpenTelemetry API, to read.
pub(super) struct ExtractorCarrier<'a>(pub(super) &'a dyn Extractor);

impl Carrier for ExtractorCarrier<'_> {
    fn for_each_value<'a>(&'a self, field: &Field, mut take: impl FnMut(Option<&'a str>)) {
        for value in self.0.get_all(field.name).unwrap_or_default() {
            take(Some(value));
        }
    }
}

/// A carrier of the OpenTelemetry API, to write.
pub(super) struct InjectorWriter<'a>(pub(super) &'a mut dyn Injector);

impl Writer for InjectorWriter<'_> {
    fn set(&mut self, field: &Field, value: String) {
        self.0.set(field.name, value);
    }

    fn remove(&mut self, _: &Field) {}
}

#[cfg(feature = "http")]
impl Carrier for HeaderMap {
    fn for_each_value<'a>(&'a self, field: &Field, mut take: impl FnMut(Option<&'a str>)) {
        for value in self.get_all(&field.header) {
            take(value.to_str().ok());
        }
    }
}

#[cfg(feature = "http")]
impl Writer for HeaderMap {
    fn set(&mut self, field: &Field, value: String) {
        match HeaderValue::try_from(value) {
            // A request with 32,768 header fields has no room for it.
            Ok(value) => drop(self.try_insert(field.header.clone(), value)),
            // The existing value belongs to another trace.
            Err(_) => drop(self.remove(&field.header)),
        }
    }

    fn remove(&mut self, field: &Field) {
        HeaderMap::remove(self, &field.header);
    }
}

/// Headers as a carrier of the OpenTelemetry API, to read.
#[cfg(feature = "http")]
pub(super) struct Headers<'a>(pub(super) &'a HeaderMap);

#[cfg(feature = "http")]
impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!all.is_empty()).then_some(all)
    }
}

/// Headers as a carrier of the OpenTelemetry API, to write.
#[cfg(feature = "http")]
pub(super) struct HeadersMut<'a>(pub(super) &'a mut HeaderMap);

#[cfg(feature = "http")]
impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            let _ = self.0.try_insert(name, value);
        }
    }
}
