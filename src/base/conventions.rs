//! Names of the OpenTelemetry conventions for HTTP, for the layers that time requests and those that make spans of them.

use http::{Extensions, Method, Uri, Version};

/// The value of an attribute that is unknown, or beyond a bound.
pub(crate) const OTHER: &str = "_OTHER";

/// The methods of the convention. Any other is `_OTHER`.
pub(crate) const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"];

/// The method with this index in [`METHODS`], or `_OTHER`.
pub(crate) fn method_name(place: u8) -> &'static str {
    METHODS.get(usize::from(place)).copied().unwrap_or(OTHER)
}

/// The index of a method in [`METHODS`], or one past it.
pub(crate) fn method_index(method: &Method) -> u8 {
    // Ten short names: a search is cheaper than a hash.
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len()) as u8
}

pub(crate) fn scheme_name(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

/// The value of `network.protocol.version`.
pub(crate) fn version_name(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

/// The route that axum has matched; `None` without one, or without the feature `axum`.
#[cfg(feature = "axum")]
pub(crate) fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

/// The route that axum has matched; `None` without one, or without the feature `axum`.
#[cfg(not(feature = "axum"))]
pub(crate) fn matched_route(_: &Extensions) -> Option<&str> {
    None
}

/// The URI of the request outside of the routers of axum, which cut the part that they have matched.
#[cfg(feature = "axum")]
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<axum::extract::OriginalUri>().map(|original| &original.0)
}

/// The URI of the request outside of the routers of axum, which cut the part that they have matched.
#[cfg(not(feature = "axum"))]
pub(crate) fn original_uri(_: &Extensions) -> Option<&Uri> {
    None
}
