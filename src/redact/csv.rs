//! Tables with a line for each row (RFC 4180), whose first one names the columns.

use super::redactor::Rules;
use super::rule::Rule;
use super::settings::Treatment;
use super::steps::count;

/// What separates the cells of a body of this type, if that is such a table.
pub(super) fn separators(kind: &[u8]) -> Option<&'static [u8]> {
    if kind.starts_with(b"text/csv") {
        return Some(b",;\t|");
    }
    kind.starts_with(b"text/tab-separated-values").then_some(b"\t")
}

/// The table without the cells of columns that have the name of a secret; nothing if there are none.
pub(super) fn clean(
    rules: &Rules,
    separators: &[u8],
    body: &[u8],
    found: &mut dyn FnMut(&str),
) -> Option<Vec<u8>> {
    let head = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let separator = separators.iter().max_by_key(|sign| head.iter().filter(|byte| byte == sign).count())?;
    let (mut columns, mut out, mut changed) =
        (Vec::<Option<(Rule, &[u8])>>::new(), Vec::with_capacity(body.len()), false);
    let (mut at, mut row, mut column) = (0, 0, 0);
    while at < body.len() {
        let end = cell(body, at, *separator);
        let text = &body[at..end];
        let inner = unquoted(text);
        if row == 0 {
            let rule = rules.rule(inner, false);
            columns.push((rule.treatment != Treatment::Leave).then_some((rule, inner)));
            out.extend(text);
        } else if let Some(Some((rule, name))) = columns.get(column)
            && rule.hides(inner)
            && !inner.is_empty()
            && !super::text::is_gone(inner)
        {
            found(&String::from_utf8_lossy(name));
            out.extend(rules.replacement(rule.treatment, inner).as_bytes());
            changed = true;
        } else {
            out.extend(text);
        }
        let sign = body.get(end);
        out.extend(sign);
        (row, column) = if sign == Some(separator) { (row, column + 1) } else { (row + 1, 0) };
        at = end + 1;
    }
    changed.then_some(out)
}

/// Where the cell ends that begins at `from`; one in quotes may hold anything.
fn cell(body: &[u8], from: usize, separator: u8) -> usize {
    let (mut at, mut quoted) = (from, false);
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if *byte == separator && !quoted => break,
            _ => {}
        }
        at += 1;
    }
    count(at - from);
    at
}

fn unquoted(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use crate::redact::RedactionSettings;

    #[test]
    fn the_columns_of_secrets_are_masked() {
        let redactor = RedactionSettings::default().build().unwrap();
        for (table, clean) in [
            (
                "id,user,password\n1,ann,hunter2\n2,bob,\n",
                Some("id,user,password\n1,ann,[redacted]\n2,bob,\n"),
            ),
            ("token;\"n\"\r\n\"a;\"\"\nb\";7\r\nc", Some("token;\"n\"\r\n[redacted];7\r\n[redacted]")),
            ("id,name\n1,ann\n", None),
            ("password\n[redacted]\n", None),
            ("", None),
        ] {
            let found = super::clean(redactor.rules_for_tests(), b",;", table.as_bytes(), &mut |_| ());
            assert_eq!(found.map(|found| String::from_utf8(found).unwrap()).as_deref(), clean, "{table}");
        }
    }
}
