//! What proxies say about the caller: `Forwarded` (RFC 7239), `X-Forwarded-For`, `-Host` and `-Proto`.

use http::HeaderMap;

use super::address::Address;

/// What the proxies say about the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded<'a> {
    pub(super) client: Option<&'a str>,
    pub(super) server: Address<'a>,
    pub(super) https: Option<bool>,
}

impl<'a> Forwarded<'a> {
    /// Of the first proxy, which is the one that the caller sees.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let first = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.split(',').next().unwrap_or(value).trim_ascii()).filter(|value| !value.is_empty())
        };
        let mut found = Self {
            client: first("x-forwarded-for").and_then(|client| Address::parse(client).host),
            server: first("x-forwarded-host").map(Address::parse).unwrap_or_default(),
            https: first("x-forwarded-proto").map(|scheme| scheme.eq_ignore_ascii_case("https")),
        };
        for pair in first("forwarded").into_iter().flat_map(|element| element.split(';')) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim_ascii(), value.trim_ascii().trim_matches('"'));
            if name.eq_ignore_ascii_case("for") {
                found.client = Address::parse(value).host;
            } else if name.eq_ignore_ascii_case("host") {
                found.server = Address::parse(value);
            } else if name.eq_ignore_ascii_case("proto") {
                found.https = Some(value.eq_ignore_ascii_case("https"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)], check: impl FnOnce(Forwarded<'_>)) {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(Forwarded::of(&headers));
    }

    #[test]
    fn the_first_proxy_says_who_called() {
        of(&[], |nothing| assert_eq!(nothing, Forwarded::default()));
        of(
            &[
                ("x-forwarded-for", "192.0.2.1, 10.0.0.1"),
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-proto", "HTTPS"),
            ],
            |found| {
                assert_eq!(found.client, Some("192.0.2.1"));
                assert_eq!(found.server, Address { host: Some("shop.example"), port: Some(8_443) });
                assert_eq!(found.https, Some(true));
            },
        );
        of(&[("forwarded", "For=\"[2001:db8::1]:47011\";proto=http;host=a, for=10.0.0.1")], |found| {
            assert_eq!(found.client, Some("2001:db8::1"));
            assert_eq!(found.server.host, Some("a"));
            assert_eq!(found.https, Some(false));
        });
        of(&[("forwarded", ";;=,"), ("x-forwarded-for", ",")], |found| {
            assert_eq!(found, Forwarded::default())
        });
    }
}
