//! Who parks, where no telemetry knows: by the variables that the specification of OpenTelemetry has for it.

use percent_encoding::percent_decode_str;

use crate::signal::Identity;

/// What `variable` tells of this process.
pub(super) fn identity(variable: &dyn Fn(&str) -> Option<String>) -> Identity {
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
            // The shell's, and in a container the name of the pod.
            .or_else(|| variable("HOSTNAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_tell_who_parks() {
        let text = |value: &str| Some(value.to_owned());
        let of = |name: Option<&str>, attributes: &str| {
            identity(&|asked| match asked {
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
