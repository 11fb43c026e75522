//! Checks of endpoints.

use std::sync::Arc;

use super::config::EndpointSection;
use crate::base::error::ConfigError;
#[cfg(feature = "grpc")]
use crate::health::GrpcCheck;
use crate::health::{CheckHandle, Component, Health, HttpCheck, TcpCheck};

/// Adds the check of an endpoint to a component, if it has an address.
///
/// # Errors
/// When the address or another setting is not valid.
pub(super) fn watch(
    health: &Health,
    component: &Arc<str>,
    name: &Arc<str>,
    settings: &EndpointSection,
) -> Result<Option<CheckHandle>, ConfigError> {
    let Some(address) = &settings.address else { return Ok(None) };
    if settings.critical {
        health.join(Component::new(Arc::clone(component)).critical(true))?;
    }
    let (component, name, every) = (Arc::clone(component), Arc::clone(name), settings.schedule());
    let (scheme, place) = address.split_once("://").unwrap_or(("http", address));
    let added = match scheme {
        "tcp" => {
            let check = TcpCheck::builder(place).timeout(settings.timeout).build()?;
            health.check_named(component, name, every, check)
        }
        #[cfg(feature = "grpc")]
        "grpc" | "grpcs" => {
            let url = format!("http{}://{place}", &scheme[4..]);
            let check = GrpcCheck::builder(url).timeout(settings.timeout).build()?;
            health.check_named(component, name, every, check)
        }
        #[cfg(not(feature = "grpc"))]
        "grpc" | "grpcs" => {
            let reason = "the feature `grpc` of this crate is off";
            return Err(ConfigError::because("address", format_args!("{scheme}://…"), reason));
        }
        _ => {
            let mut check = HttpCheck::builder(address.as_str())
                .timeout(settings.timeout)
                .statuses(settings.statuses.iter().copied());
            if settings.method == "HEAD" {
                check = check.method(http::Method::HEAD);
            }
            for (header, value) in &settings.headers {
                check = check.header(header, value);
            }
            health.check_named(component, name, every, check.build()?)
        }
    };
    added.map(Some)
}
