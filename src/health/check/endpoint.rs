//! Addresses of services, as checks take and show them.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::base::error::ConfigError;

/// Where a service is.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) uri: Uri,
    /// It without its query, for messages: a token may stand there.
    pub(super) shown: String,
}

impl Endpoint {
    /// Reads an address, which is not shown when it is refused: it may hold a password.
    pub(super) fn parse(setting: &'static str, url: &str) -> Result<Self, ConfigError> {
        let refused = |allowed: &'static str| ConfigError::new(setting, "(not shown)", allowed);
        let uri: Uri = url.parse().map_err(|_| refused("an address such as `http://host:8080/health`"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refused("an address with its scheme and host, such as `http://host:8080/health`"));
        };
        if authority.as_str().contains('@') {
            return Err(refused("an address without a user and password, which belong into a header"));
        }
        let shown = format!("{scheme}://{authority}{}", uri.path());
        match scheme {
            scheme if *scheme == Scheme::HTTP => {}
            scheme if *scheme == Scheme::HTTPS && cfg!(feature = "tls") => {}
            scheme if *scheme == Scheme::HTTPS => {
                return Err(ConfigError::new(setting, shown, "an `https:` address needs the feature `tls`"));
            }
            _ => {
                return Err(ConfigError::new(setting, shown, "an address that begins with http: or https:"));
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
    fn what_is_refused_says_why_and_shows_no_password() {
        for (url, why) in [
            ("http://a:hunter2@b/", "belong into a header"),
            ("http://hunter2 b/", "an address such as"),
            ("/hunter2", "scheme and host"),
            ("ftp://a/b?hunter2", "begins with http:"),
        ] {
            let error = Endpoint::parse("url", url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(Endpoint::parse("url", "http://a:1/b?token=c").unwrap().shown, "http://a:1/b");
        assert_eq!(Endpoint::parse("url", "https://a").is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn a_query_is_asked_with_and_a_fragment_is_not() {
        for (url, asked, shown) in [
            ("http://a:1/b?token=c#part", "http://a:1/b?token=c", "http://a:1/b"),
            ("http://a:1/b/?c", "http://a:1/b/?c", "http://a:1/b/"),
            ("http://a?token=c", "http://a/?token=c", "http://a/"),
            ("http://a#part", "http://a/", "http://a/"),
            ("http://[::1]:1/b", "http://[::1]:1/b", "http://[::1]:1/b"),
            ("http://[::1]/?c@d", "http://[::1]/?c@d", "http://[::1]/"),
        ] {
            let endpoint = Endpoint::parse("url", url).unwrap();
            assert_eq!((endpoint.uri.to_string().as_str(), endpoint.shown.as_str()), (asked, shown), "{url}");
        }
    }
}
