//! Names for Prometheus.

/// `text` as a Prometheus name: ASCII letters, digits and single `_`, not beginning with a digit. Colons are replaced too,
/// because they are reserved for recording rules.
pub(crate) fn sanitized(text: &str) -> String {
    let mut name = String::with_capacity(text.len() + 1);
    if text.is_empty() || text.starts_with(|first: char| first.is_ascii_digit()) {
        name.push('_');
    }
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_becomes_a_valid_name() {
        for (text, name) in [
            ("http.server.request.duration", "http_server_request_duration"),
            ("a..b", "a_b"),
            ("__name__", "_name_"),
            ("9lives", "_9lives"),
            ("", "_"),
            ("€", "_"),
            ("prix:€ ß", "prix_"),
            ("Ünicode9", "_nicode9"),
            ("line\nbreak\0", "line_break_"),
        ] {
            assert_eq!(sanitized(text), name, "{text:?}");
            assert_eq!(sanitized(name), name, "a sanitized name does not change");
        }
    }
}
