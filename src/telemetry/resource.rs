//! Who sends the telemetry.

use std::collections::BTreeMap;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::variables::{Variables, percent_decoded};
use crate::error::ConfigError;

/// The resource of a service: what is found out, then what the code says, then what the environment says.
pub(super) fn resource(
    service_name: &str,
    attributes: &BTreeMap<String, String>,
    variables: &Variables,
) -> Result<Resource, ConfigError> {
    let mut found = vec![
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("service.instance.id", instance_id()),
        KeyValue::new("service.name", service_name.to_owned()),
    ];
    if let Some(name) = host_name() {
        found.push(KeyValue::new("host.name", name));
    }
    let executable = std::env::current_exe().ok();
    if let Some(name) = executable.as_deref().and_then(|path| path.file_name()?.to_str()) {
        found.push(KeyValue::new("process.executable.name", name.to_owned()));
    }
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

/// `key=value` pairs between commas, with percent-encoded values, as the specification has them.
fn parse(text: &str) -> Result<Vec<KeyValue>, ConfigError> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .filter(|(key, _)| !key.trim().is_empty())
                .ok_or_else(|| ConfigError::new("OTEL_RESOURCE_ATTRIBUTES", pair, "key=value,key=value"))?;
            Ok(KeyValue::new(Key::from(key.trim().to_owned()), percent_decoded(value.trim())))
        })
        .collect()
}

fn host_name() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// A random UUID (version 4).
fn instance_id() -> String {
    let mut bytes = RandomIdGenerator::default().new_trace_id().to_bytes();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(resource: &Resource, key: &'static str) -> String {
        resource.get(&Key::new(key)).map(|value| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let variables = |name: &str| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => Some("service.name=b,a=x%20y%2,zone = eu ,".to_owned()),
            _ => None,
        };
        let attributes = BTreeMap::from([("zone".to_owned(), "us".to_owned())]);
        let found = resource("a", &attributes, &Variables::new(variables)).unwrap();
        assert_eq!(get(&found, "service.name"), "b");
        assert_eq!(get(&found, "a"), "x y%2");
        assert_eq!(get(&found, "zone"), "eu");
        assert_eq!(get(&found, "telemetry.sdk.language"), "rust");
        let all = move |name: &str| match name {
            "OTEL_SERVICE_NAME" => Some("c".to_owned()),
            _ => variables(name),
        };
        let found = resource("a", &attributes, &Variables::new(all)).unwrap();
        assert_eq!(get(&found, "service.name"), "c");
        assert_eq!(get(&found, "service.instance.id").len(), 36);
    }

    #[test]
    fn half_a_pair_is_an_error() {
        let variables = Variables::new(|_| Some("a=b,c".to_owned()));
        let error = resource("a", &BTreeMap::new(), &variables).unwrap_err();
        assert_eq!(error.value(), "c");
    }
}
