//! Multipart bodies (RFC 2046). Each part is searched by its own name and type.

use std::ops::Range;

use super::steps::{ahead, count, find, find_text};

/// The headers and the body of a part.
pub(super) struct Part {
    pub(super) head: Range<usize>,
    pub(super) body: Range<usize>,
}

/// Splits a body into its parts. The text before the first part and after the last one is returned as parts without a
/// head. `None` if the body has no boundary line, or another boundary than `kind`.
pub(super) fn parts(kind: &[u8], body: &[u8]) -> Option<Vec<Part>> {
    // The boundary is taken from the body, because `kind` has been converted to lower case.
    let start = if body.starts_with(b"--") { 0 } else { find_text(b"\n--", body, 0)? + 1 };
    let end = ahead(body, start, 256, |byte| !matches!(byte, b'\r' | b'\n'));
    let line = body[start..end].trim_ascii_end();
    if let Some(boundary) = parameter(kind, b"boundary")
        && !line[2..].eq_ignore_ascii_case(boundary)
        && !line.get(2..2 + boundary.len()).is_some_and(|line| line.eq_ignore_ascii_case(boundary))
    {
        return None;
    }
    let line = line.strip_suffix(b"--").filter(|line| line.len() > 2).unwrap_or(line);
    if line.len() < 3 {
        return None;
    }
    let mut parts = vec![Part { head: 0..0, body: 0..start }];
    let mut at = start;
    while at < body.len() {
        // The first line after the boundary line.
        let first = find(b'\n', body, at).map_or(body.len(), |end| end + 1);
        if body[at + line.len()..].starts_with(b"--") {
            parts.push(Part { head: first..first, body: first..body.len() });
            break;
        }
        let next = next_boundary(line, body, first);
        let part = &body[first..next];
        let head = match (find_text(b"\r\n\r\n", part, 0), find_text(b"\n\n", part, 0)) {
            _ if part.starts_with(b"\r\n") => 2,
            _ if part.starts_with(b"\n") => 1,
            (Some(windows), Some(unix)) if unix < windows => unix + 2,
            (Some(windows), _) => windows + 4,
            (None, Some(unix)) => unix + 2,
            // Without an end of the head, the whole part is searched as a body.
            (None, None) => 0,
        };
        let end = if next == body.len() {
            next
        } else {
            next - usize::from(part.ends_with(b"\n")) - usize::from(part.ends_with(b"\r\n"))
        };
        let start = (first + head).min(next);
        parts.push(Part { head: first..start, body: start..end.max(start) });
        at = next;
    }
    Some(parts)
}

/// The start of the next boundary line at or after `from`, or the end of the body.
fn next_boundary(line: &[u8], body: &[u8], from: usize) -> usize {
    if body[from..].starts_with(line) {
        return from;
    }
    let mut at = from;
    while let Some(found) = find_text(line, body, at) {
        if found > 0 && body[found - 1] == b'\n' {
            return found;
        }
        at = found + 1;
    }
    body.len()
}

/// The value of the header `name`, which is in lower case.
pub(super) fn header<'a>(headers: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    while from < headers.len() {
        let mut end = find(b'\n', headers, from).unwrap_or(headers.len());
        // A line that begins with a space or a tab continues the previous one.
        while matches!(headers.get(end + 1), Some(b' ' | b'\t')) {
            end = find(b'\n', headers, end + 1).unwrap_or(headers.len());
        }
        let line = &headers[from..end];
        if let Some(colon) = line.iter().position(|byte| *byte == b':')
            && line[..colon].trim_ascii().eq_ignore_ascii_case(name)
        {
            return Some(line[colon + 1..].trim_ascii());
        }
        from = end + 1;
    }
    None
}

/// The value of the parameter `name` in the value of a header: `; name=value` or `; name="value"`. Case is ignored.
pub(super) fn parameter<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut from = find(b';', header, 0)? + 1;
    loop {
        let rest = header.get(from..)?;
        let sign = from + rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        count(sign - from + 1);
        if header[sign] == b';' {
            from = sign + 1;
            continue;
        }
        let key = header[from..sign].trim_ascii();
        let start =
            sign + 1 + header[sign + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let (value, end) = if header.get(start) == Some(&b'"') {
            let end = find(b'"', header, start + 1).unwrap_or(header.len());
            (&header[start + 1..end], end)
        } else {
            let end = find(b';', header, start).unwrap_or(header.len());
            (header[start..end].trim_ascii(), end)
        };
        // RFC 2231 also allows `name*=UTF-8''…`.
        if key.eq_ignore_ascii_case(name)
            || key.strip_suffix(b"*").is_some_and(|key| key.eq_ignore_ascii_case(name))
        {
            return Some(value);
        }
        from = find(b';', header, end.min(header.len()))? + 1;
    }
}
