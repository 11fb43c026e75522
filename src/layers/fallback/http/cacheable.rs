//! Decides which responses may be kept, by the rules of a shared cache: RFC 9111, sections 3, 3.5, 4.1 and 4.2.4.

use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::super::kinds::NotKept;
use super::super::settings::FallbackSettings;

/// Directives of `Cache-Control` that forbid to keep a response for all callers, or to give it when it is stale.
const FORBID: [&str; 6] =
    ["no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "s-maxage"];

/// Whether the response to a request with this method and these headers may be kept, and answered from what was kept.
pub(super) fn request(
    settings: &FallbackSettings,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), NotKept> {
    if !matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(header::RANGE) {
        return Err(NotKept::NotWhole);
    }
    let private = headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(header::COOKIE)
        || has_directive(headers, &["no-store"]);
    if private && !settings.keep_private { Err(NotKept::Private) } else { Ok(()) }
}

/// Whether a response with this head may be kept. Returns the headers that `Vary` names.
pub(super) fn response(
    settings: &FallbackSettings,
    head: &Parts,
    at_least: u64,
) -> Result<Vec<HeaderName>, NotKept> {
    let is_whole = matches!(
        head.status,
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION | StatusCode::NO_CONTENT
    );
    if !is_whole || head.headers.contains_key(header::CONTENT_RANGE) {
        return Err(NotKept::NotWhole);
    }
    let private = head.headers.contains_key(header::SET_COOKIE) || has_directive(&head.headers, &FORBID);
    if private && !settings.keep_private {
        return Err(NotKept::Private);
    }
    if at_least > settings.max_body as u64 {
        return Err(NotKept::TooLarge);
    }
    varying(&head.headers).ok_or(NotKept::NotWhole)
}

/// Whether `Cache-Control` has one of these directives. A value that is no text counts as one.
fn has_directive(headers: &HeaderMap, names: &[&str]) -> bool {
    headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.to_str().map_or(true, |text| {
            text.split(',').any(|directive| {
                let name = directive.split('=').next().unwrap_or_default().trim();
                names.iter().any(|one| name.eq_ignore_ascii_case(one))
            })
        })
    })
}

/// The headers that `Vary` names; `None` if it names all, or is malformed.
fn varying(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in headers.get_all(header::VARY) {
        for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                return None;
            }
            names.push(name.parse().ok()?);
        }
    }
    Some(names)
}
