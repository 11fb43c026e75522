//! Puts the attributes of the resource together.

use std::collections::BTreeMap;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::environment::Environment;
use super::{cloud, container, host, kubernetes};
use crate::base::error::ConfigError;
use crate::signal::Identity;
use crate::telemetry::variables::{Variables, percent_decoded};

/// The resource of a service. Attributes of the settings win over detected ones, and `OTEL_*` variables over both.
pub(in crate::telemetry) fn resource(
    service_name: &str,
    attributes: &BTreeMap<String, String>,
    detection: bool,
    variables: &Variables,
) -> Result<Resource, ConfigError> {
    let mut found = if detection { detected(&Environment::of_this_process(variables)) } else { Vec::new() };
    found.push(KeyValue::new("service.instance.id", instance_id()));
    found.push(KeyValue::new("service.name", service_name.to_owned()));
    found.extend(attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    if let Some(text) = variables.get("OTEL_RESOURCE_ATTRIBUTES") {
        found.extend(parse(&text)?);
    }
    if let Some(name) = variables.get("OTEL_SERVICE_NAME") {
        found.push(KeyValue::new("service.name", name));
    }
    Ok(Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(found)
        .build())
}

/// The identity of the service in the resource, for other modules.
pub(in crate::telemetry) fn identity(resource: &Resource) -> Identity {
    let get = |key: &'static str| resource.get(&Key::new(key)).map(|value| value.to_string());
    Identity {
        service: get("service.name"),
        version: get("service.version"),
        instance: get("service.instance.id").or_else(|| get("host.name")),
    }
}

/// The detected attributes. If a name occurs twice, the last value wins.
fn detected(environment: &Environment<'_>) -> Vec<KeyValue> {
    let mut found = host::attributes(environment);
    found.extend(container::attributes(environment));
    found.extend(kubernetes::attributes(environment));
    found.extend(cloud::attributes(environment));
    found
}

/// Parses `key=value` pairs, separated by commas, with percent-encoded values, as the specification defines them.
fn parse(text: &str) -> Result<Vec<KeyValue>, ConfigError> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) =
                pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(|| {
                    let allowed = "a list of pairs: key=value,key=value";
                    ConfigError::new("OTEL_RESOURCE_ATTRIBUTES", pair, allowed)
                })?;
            Ok(KeyValue::new(Key::from(key.trim().to_owned()), percent_decoded(value.trim())))
        })
        .collect()
}

/// A random UUID (version 4).
fn instance_id() -> String {
    let random = RandomIdGenerator::default().new_trace_id().to_bytes();
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(resource: &Resource, key: &'static str) -> String {
        resource.get(&Key::new(key)).map(|value| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn variables_win_over_attributes_of_the_code() {
        let variables = |name: &str| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => Some("service.name=b,a=x%20y%2,zone = eu ,host.name=h".to_owned()),
            _ => None,
        };
        let attributes = BTreeMap::from([("zone".to_owned(), "us".to_owned())]);
        let found = resource("a", &attributes, true, &Variables::new(variables)).unwrap();
        assert_eq!(get(&found, "service.name"), "b");
        assert_eq!(get(&found, "a"), "x y%2");
        assert_eq!(get(&found, "zone"), "eu");
        assert_eq!(get(&found, "host.name"), "h");
        assert_eq!(get(&found, "telemetry.sdk.language"), "rust");
        assert_eq!(get(&found, "process.pid"), std::process::id().to_string());
        let all = move |name: &str| match name {
            "OTEL_SERVICE_NAME" => Some("c".to_owned()),
            _ => variables(name),
        };
        let found = resource("a", &attributes, false, &Variables::new(all)).unwrap();
        assert_eq!(get(&found, "service.name"), "c");
        assert_eq!(get(&found, "service.instance.id").len(), 36);
        assert_eq!(get(&found, "process.pid"), "", "nothing is detected while detection is off");
    }

    #[test]
    fn a_pair_without_a_value_is_an_error() {
        let variables = Variables::new(|_| Some("a=b,c".to_owned()));
        let error = resource("a", &BTreeMap::new(), true, &variables).unwrap_err();
        assert_eq!(error.value(), "c");
    }
}
