//! CSV (RFC 4180) whose first line names the columns.

use super::marker::is_replaced;
use super::rule::Rule;
use super::rules::Rules;
use super::steps::{ahead, count};
use super::treatment::Treatment;

/// The byte order mark in UTF-8.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The possible separators of cells, if this content type is a table.
pub(super) fn separators(kind: &[u8]) -> Option<&'static [u8]> {
    if kind.starts_with(b"text/csv") {
        return Some(b",;\t|");
    }
    kind.starts_with(b"text/tab-separated-values").then_some(b"\t")
}

/// The table without the cells of columns with the name of a secret; `None` if it has none.
pub(super) fn clean(
    rules: &Rules,
    separators: &[u8],
    body: &[u8],
    found: &mut dyn FnMut(&str),
) -> Option<Vec<u8>> {
    let (mark, body) = body.split_at(if body.starts_with(BOM) { BOM.len() } else { 0 });
    let head = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let separator = separators.iter().max_by_key(|sign| head.iter().filter(|byte| byte == sign).count())?;
    let (mut columns, mut out, mut changed) =
        (Vec::<Option<(Rule, &[u8])>>::new(), Vec::with_capacity(mark.len() + body.len()), false);
    out.extend(mark);
    let (mut at, mut row, mut column) = (0, 0, 0);
    while at < body.len() {
        let end = cell(body, at, *separator);
        let text = &body[at..end];
        let inner = unquoted(text);
        if row == 0 {
            let rule = rules.rule(inner, false);
            columns.push((rule.treatment != Treatment::Leave).then_some((rule, inner)));
            out.extend(text);
        } else if let Some(Some((rule, name))) = columns.get(column).or(columns.last())
            && rule.hides(inner)
            && !inner.is_empty()
            && !is_replaced(inner)
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

/// The end of the cell that begins at `from`. A quoted cell may contain separators and line breaks.
fn cell(body: &[u8], from: usize, separator: u8) -> usize {
    let start = ahead(body, from, usize::MAX, |byte| byte == b' ');
    if body.get(start) == Some(&b'"') {
        let (mut at, mut quoted) = (start, false);
        while let Some(byte) = body.get(at) {
            match byte {
                b'"' => quoted = !quoted,
                byte if !quoted && (*byte == separator || *byte == b'\n') => break,
                _ => {}
            }
            at += 1;
        }
        count(at - start);
        if !quoted {
            return at;
        }
        // The quote is not closed: the table was truncated, or the quote is a plain character. The rest must not count as
        // one cell. This happens at most once, because an even number of quotes remains.
    }
    ahead(body, from, usize::MAX, |byte| byte != separator && byte != b'\n')
}

fn unquoted(cell: &[u8]) -> &[u8] {
    let cell = cell.trim_ascii();
    cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use crate::base::redact::{RedactionSettings, Redactor};

    #[test]
    fn the_columns_of_secrets_are_masked() {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        for (table, clean) in [
            (
                "id,user,password\n1,ann,hunter2\n2,bob,\n",
                Some("id,user,password\n1,ann,[redacted]\n2,bob,\n"),
            ),
            ("token;\"n\"\r\n\"a;\"\"\nb\";7\r\nc", Some("token;\"n\"\r\n[redacted];7\r\n[redacted]")),
            ("id,name\n1,ann\n", None),
            ("password\n[redacted]\n", None),
            // A quote within a cell, and a quote that is not closed, are plain characters.
            ("n,size,password\n1,5\" disk,hunter2\n", Some("n,size,password\n1,5\" disk,[redacted]\n")),
            ("n,password\n\"1,hunter2\n2,x\n", Some("n,password\n\"1,[redacted]\n2,[redacted]\n")),
            // A row may have more cells than the first line.
            ("password\nhunter;2\n", Some("password\n[redacted];[redacted]\n")),
            ("n,password\n1,hunter,2\n", Some("n,password\n1,[redacted],[redacted]\n")),
            ("\u{feff}password,n\nhunter2,1\n", Some("\u{feff}password,n\n[redacted],1\n")),
            ("", None),
        ] {
            let found = super::clean(redactor.rules_for_tests(), b",;", table.as_bytes(), &mut |_| ());
            assert_eq!(found.map(|found| String::from_utf8(found).unwrap()).as_deref(), clean, "{table}");
        }
    }
}
