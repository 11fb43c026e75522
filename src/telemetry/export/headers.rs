//! Headers that go with every export. Their values are secrets.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header as names};

use crate::error::ConfigError;
use crate::telemetry::variables::{Variables, percent_decoded};

/// Those of the code, and over them those of the variables.
pub(super) fn headers(
    set: &BTreeMap<String, String>,
    variables: &Variables,
    names: &[String],
) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (key, value) in set {
        let allowed = "a name of letters, digits and dashes that does not describe the message itself, as \
                       content-length does, with a value of visible letters";
        let (name, value) = header(key, value)
            .ok_or_else(|| ConfigError::new(format!("otlp_settings.headers.{key}"), "what it is", allowed))?;
        headers.insert(name, value);
    }
    if let Some((name, list)) = variables.first_of(names) {
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            // The pair itself must not be shown.
            let (key, value) = pair
                .split_once('=')
                .and_then(|(key, value)| header(key.trim(), &percent_decoded(value.trim())))
                .ok_or_else(|| {
                    ConfigError::new(
                        name.clone(),
                        "what it is",
                        "name=value,name=value, values percent-encoded, none of them a name that describes the \
                         message itself, as content-length does",
                    )
                })?;
            headers.insert(key, value);
        }
    }
    Ok(headers)
}

/// These follow from the message and the connection. Others would cut the message, or break the connection.
const OF_THE_MESSAGE: [HeaderName; 4] =
    [names::CONNECTION, names::CONTENT_LENGTH, names::TRANSFER_ENCODING, names::UPGRADE];

fn header(key: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(key.as_bytes()).ok().filter(|name| !OF_THE_MESSAGE.contains(name))?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
