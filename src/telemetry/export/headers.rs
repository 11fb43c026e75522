//! The headers of every export. Their values are secrets.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header as names};

use crate::base::error::ConfigError;
use crate::telemetry::variables::{Variables, percent_decoded};

/// The headers of the settings. Those of the environment variable win.
pub(super) fn headers(
    set: &BTreeMap<String, String>,
    variables: &Variables,
    names: &[String],
) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (key, value) in set {
        let allowed = "the name may have letters, digits and dashes, the value visible characters; content-length, \
                       transfer-encoding, connection and upgrade cannot be set";
        let (name, value) = header(key, value)
            .ok_or_else(|| ConfigError::new(format!("otlp_settings.headers.{key}"), HIDDEN, allowed))?;
        insert(&mut headers, name, value)?;
    }
    if let Some((name, list)) = variables.first_of(names) {
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .and_then(|(key, value)| header(key.trim(), &percent_decoded(value.trim())))
                .ok_or_else(|| {
                    ConfigError::new(
                        name.clone(),
                        HIDDEN,
                        "name=value,name=value with percent-encoded values; content-length, transfer-encoding, \
                         connection and upgrade cannot be set",
                    )
                })?;
            insert(&mut headers, key, value)?;
        }
    }
    Ok(headers)
}

/// Stands for a value in errors, because it is a secret.
const HIDDEN: &str = "the given value (not shown)";

fn insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), ConfigError> {
    let full =
        |_| ConfigError::new("otlp_settings.headers", "more than 24576 headers", "at most 24576 headers");
    headers.try_insert(name, value).map(|_| ()).map_err(full)
}

/// The client sets these from the message and the connection. Another value would truncate the message or break the
/// connection.
const RESERVED: [HeaderName; 4] =
    [names::CONNECTION, names::CONTENT_LENGTH, names::TRANSFER_ENCODING, names::UPGRADE];

fn header(key: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(key.as_bytes()).ok().filter(|name| !RESERVED.contains(name))?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(set: &[(&str, &str)], variable: &'static str) -> Result<HeaderMap, ConfigError> {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        headers(&set, &Variables::new(|_| Some(variable.to_owned())), &["HEADERS".to_owned()])
    }

    #[test]
    fn variables_win_and_are_decoded() {
        let found =
            read(&[("a", "1"), ("b", "2")], "B=x%20y, Authorization = Basic%20c2VjcmV0Og== ,").unwrap();
        assert_eq!(found["a"], "1");
        assert_eq!(found["b"], "x y");
        assert_eq!(found["authorization"], "Basic c2VjcmV0Og==");
        assert!(!format!("{found:?}").contains("c2VjcmV0"), "{found:?}");
    }

    #[test]
    fn errors_show_no_value() {
        for (set, variable) in [
            ("", "authorization"),
            ("", "a b=secret"),
            ("", "a=secret%0A"),
            ("sec\nret", ""),
            ("", "Content-Length=secret"),
        ] {
            let error = read(&[("k", set)], variable).unwrap_err().to_string();
            assert!(!error.contains("sec") && !error.contains("authorization"), "{error}");
        }
    }

    #[test]
    fn more_headers_than_a_request_can_hold_are_refused() {
        let list: Vec<_> = (0..40_000).map(|n| format!("h{n}=secret")).collect();
        let variables = Variables::new(move |_| Some(list.join(",")));
        let error = headers(&BTreeMap::new(), &variables, &["HEADERS".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("at most 24576 headers") && !error.contains("secret"), "{error}");
    }

    fn of(list: String) -> Result<HeaderMap, ConfigError> {
        headers(&BTreeMap::new(), &Variables::new(move |_| Some(list.clone())), &["HEADERS".to_owned()])
    }

    /// The name and value of a pair, by RFC 9110 and the format of W3C Baggage. `None` if it is malformed.
    fn expected(pair: &str) -> Option<(String, String)> {
        let (name, value) = pair.split_once('=')?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let name = name.trim().to_ascii_lowercase();
        let fits = !name.is_empty() && name.chars().all(token);
        if !fits || ["connection", "content-length", "transfer-encoding", "upgrade"].contains(&&*name) {
            return None;
        }
        let mut bytes = Vec::new();
        let mut rest = value.trim().as_bytes();
        while let [byte, after @ ..] = rest {
            let code = after.first_chunk::<2>().filter(|_| *byte == b'%');
            let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
            // `from_str_radix` accepts a sign.
            let code = code.filter(|_| after[0] != b'+');
            bytes.push(code.unwrap_or(*byte));
            rest = if code.is_some() { &after[2..] } else { after };
        }
        let value = String::from_utf8(bytes).unwrap_or_else(|_| value.trim().to_owned());
        value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}')).then_some((name, value))
    }

    proptest! {
        #[test]
        fn any_list_is_read_by_the_grammar_or_refused_without_its_secrets(
            pairs in prop::collection::vec("[a%=+ \t\r0Fä:;\u{7f}]{0,8}|content-length=1|[!-~]{1,6}=(%[0-9a-f]{2}){1,3}", 0..6)
        ) {
            let list = pairs.join(",");
            // An empty variable counts as not set.
            prop_assume!(!list.trim().is_empty());
            let parts: Vec<_> = list.trim().split(',').filter(|pair| !pair.trim().is_empty()).map(expected).collect();
            match (of(list), parts.into_iter().collect::<Option<Vec<_>>>()) {
                (Ok(found), Some(parts)) => {
                    // The last value of a name wins.
                    let parts: BTreeMap<_, _> = parts.into_iter().collect();
                    let found: BTreeMap<_, _> = found
                        .iter()
                        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                        .collect();
                    prop_assert_eq!(found, parts);
                }
                (Err(error), None) => prop_assert!(error.to_string().ends_with("connection and upgrade cannot be set"), "{}", error),
                (found, parts) => prop_assert!(false, "{:?} is not {:?}", found, parts),
            }
        }

        #[test]
        fn percent_encoded_values_are_decoded(
            sent in prop::collection::btree_map("x-[a-z0-9]{1,8}", "[ -~ä]{0,20}", 0..8)
        ) {
            let pairs = sent.iter().map(|(name, value)| {
                let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("{name}={value}")
            });
            let found = of(pairs.collect::<Vec<_>>().join(",")).unwrap();
            prop_assert_eq!(found.len(), sent.len());
            for (name, value) in &sent {
                prop_assert_eq!(found[name].as_bytes(), value.as_bytes());
                prop_assert!(found[name].is_sensitive());
            }
        }
    }
}
