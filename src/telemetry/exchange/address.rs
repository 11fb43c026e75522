//! Host and port of a server.

use http::{HeaderMap, Uri, header};

/// The host of a server, and its port if it is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) port: Option<u16>,
}

impl<'a> Address<'a> {
    /// Of `host`, `host:port` or `[host]:port`.
    pub(super) fn parse(text: &'a str) -> Self {
        let text = text.trim_ascii();
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address is in brackets if it has a port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (text, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: Some(host).filter(|host| !host.is_empty()), port }
    }

    /// Of the request's URI, otherwise of its `Host` header.
    pub(super) fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        match uri.host() {
            Some(host) => Self { port: uri.port_u16(), ..Self::parse(host) },
            None => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                host.map(Self::parse).unwrap_or_default()
            }
        }
    }

    /// The port as the value of an attribute.
    pub(super) fn port_value(self) -> Option<i64> {
        self.port.map(i64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let parsed = |text| {
            let Address { host, port } = Address::parse(text);
            (host.unwrap_or_default(), port)
        };
        assert_eq!(parsed("shop.example"), ("shop.example", None));
        assert_eq!(parsed("shop.example:8080"), ("shop.example", Some(8_080)));
        assert_eq!(parsed("shop.example:port"), ("shop.example", None));
        assert_eq!(parsed("[::1]:80"), ("::1", Some(80)));
        assert_eq!(parsed("[::1]"), ("::1", None));
        assert_eq!(parsed("::1"), ("::1", None));
        assert_eq!(parsed(""), ("", None));
    }
}
