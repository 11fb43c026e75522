//! The URLs of checks.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::base::error::ConfigError;

/// The URL that a check asks.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) uri: Uri,
    /// The URL without its query, for messages: the query may hold a token.
    pub(super) shown: String,
}

impl Endpoint {
    /// Parses a URL. The error does not show it, because it may hold a password.
    pub(super) fn parse(setting: &'static str, url: &str) -> Result<Self, ConfigError> {
        let refused = |allowed: &'static str| ConfigError::new(setting, "(not shown)", allowed);
        let uri: Uri = url.parse().map_err(|_| refused("a URL such as `http://host:8080/health`"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refused("a URL with a scheme and a host, such as `http://host:8080/health`"));
        };
        if authority.as_str().contains('@') {
            return Err(refused("a URL without user and password: send them in a header"));
        }
        let shown = format!("{scheme}://{authority}{}", uri.path());
        match scheme {
            scheme if *scheme == Scheme::HTTP => {}
            scheme if *scheme == Scheme::HTTPS && cfg!(feature = "tls") => {}
            scheme if *scheme == Scheme::HTTPS => {
                return Err(ConfigError::new(
                    setting,
                    shown,
                    "a URL that begins with `http:`; `https:` needs the feature `tls` of campanile, which is off",
                ));
            }
            _ => {
                return Err(ConfigError::new(setting, shown, "a URL that begins with `http:` or `https:`"));
            }
        }
        Ok(Self { uri, shown })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_url_gets_a_reason_and_is_not_shown() {
        for (url, why) in [
            ("http://a:hunter2@b/", "send them in a header"),
            ("http://hunter2 b/", "a URL such as"),
            ("/hunter2", "a scheme and a host"),
            ("ftp://a/b?hunter2", "begins with `http:`"),
        ] {
            let error = Endpoint::parse("url", url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(Endpoint::parse("url", "http://a:1/b?token=c").unwrap().shown, "http://a:1/b");
        assert_eq!(Endpoint::parse("url", "https://a").is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn the_request_has_the_query_but_not_the_fragment() {
        for (url, requested, shown) in [
            ("http://a:1/b?token=c#part", "http://a:1/b?token=c", "http://a:1/b"),
            ("http://a:1/b/?c", "http://a:1/b/?c", "http://a:1/b/"),
            ("http://a?token=c", "http://a/?token=c", "http://a/"),
            ("http://a#part", "http://a/", "http://a/"),
            ("http://[::1]:1/b", "http://[::1]:1/b", "http://[::1]:1/b"),
            ("http://[::1]/?c@d", "http://[::1]/?c@d", "http://[::1]/"),
        ] {
            let endpoint = Endpoint::parse("url", url).unwrap();
            assert_eq!(
                (endpoint.uri.to_string().as_str(), endpoint.shown.as_str()),
                (requested, shown),
                "{url}"
            );
        }
    }
}
