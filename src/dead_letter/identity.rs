//! The service, version and instance that letters name.
//!
//! They come from the settings, then from the environment variables of the OpenTelemetry specification.

use percent_encoding::percent_decode_str;

use super::settings::DeadLetterSettings;
use crate::signal::Identity;

/// The identity by the settings and the environment of the process.
pub(super) fn identity(settings: &DeadLetterSettings) -> Identity {
    let found = from_environment(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    Identity {
        service: settings.service.clone().or(found.service),
        version: settings.service_version.clone().or(found.version),
        instance: found.instance,
    }
}

fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Identity {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let attribute = |wanted: &str| {
        attributes
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| percent_decode_str(value.trim()).decode_utf8_lossy().into_owned())
            .rfind(|value| !value.is_empty())
    };
    Identity {
        service: variable("OTEL_SERVICE_NAME").or_else(|| attribute("service.name")),
        version: attribute("service.version"),
        instance: attribute("service.instance.id")
            .or_else(|| attribute("host.name"))
            // Set by shells; in a container it is the name of the pod.
            .or_else(|| variable("HOSTNAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_name_the_service() {
        let text = |value: &str| Some(value.to_owned());
        let of = |name: Option<&str>, attributes: &str| {
            from_environment(&|variable| match variable {
                "OTEL_SERVICE_NAME" => name.map(str::to_owned),
                "OTEL_RESOURCE_ATTRIBUTES" => text(attributes),
                "HOSTNAME" => text("pod-7"),
                _ => None,
            })
        };
        let attributes = "service.name=b%20c, service.version = 1.2 ,service.instance.id=i,nonsense";
        let full = Identity { service: text("b c"), version: text("1.2"), instance: text("i") };
        assert_eq!(of(None, attributes), full);
        assert_eq!(of(Some("a"), attributes), Identity { service: text("a"), ..full });
        assert_eq!(of(None, ""), Identity { instance: text("pod-7"), ..Identity::default() });
    }
}
