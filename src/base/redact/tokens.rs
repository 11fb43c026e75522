//! Credentials that are found by their shape, under any name: tokens of known services, JWTs, private keys, webhooks.

use std::ops::Range;

use super::bytes::in_run;
use super::steps::{ahead, behind, count, find, find_text};
use super::webhooks;

/// The bytes of a token after its prefix.
type Bytes = fn(u8) -> bool;

/// Prefixes of tokens, the bytes that follow, and the minimum number of those. Sorted by the first byte.
const TOKENS: &[(&[u8], Bytes, usize)] = &[
    (b"AGE-SECRET-KEY-1", is_upper, 50),
    (b"AIza", is_base64url, 35),
    (b"AKIA", is_upper, 16),
    (b"ASIA", is_upper, 16),
    (b"ATATT3", is_base64url, 60),
    (b"GOCSPX-", is_base64url, 20),
    (b"NRAK-", is_upper, 24),
    (b"PMAK-", is_base64url, 24),
    (b"SK", is_hex, 32),
    (b"dapi", is_hex, 32),
    (b"dckr_pat_", is_base64url, 20),
    (b"dop_v1_", is_hex, 40),
    (b"figd_", is_base64url, 20),
    (b"ghp_", is_alphanumeric, 20),
    (b"gho_", is_alphanumeric, 20),
    (b"ghu_", is_alphanumeric, 20),
    (b"ghs_", is_alphanumeric, 20),
    (b"ghr_", is_alphanumeric, 20),
    (b"github_pat_", is_base64url, 20),
    (b"gldt-", is_base64url, 20),
    (b"glpat-", is_base64url, 20),
    (b"glrt-", is_base64url, 20),
    (b"glsa_", is_base64url, 32),
    (b"gsk_", is_alphanumeric, 40),
    (b"hf_", is_alphanumeric, 30),
    (b"lin_api_", is_alphanumeric, 30),
    (b"npm_", is_alphanumeric, 30),
    (b"pul-", is_hex, 40),
    (b"pypi-AgE", is_base64url, 40),
    (b"rk_live_", is_alphanumeric, 16),
    (b"rk_test_", is_alphanumeric, 16),
    (b"rubygems_", is_hex, 40),
    (b"shpat_", is_hex, 32),
    (b"shpca_", is_hex, 32),
    (b"shppa_", is_hex, 32),
    (b"shpss_", is_hex, 32),
    (b"sk_live_", is_alphanumeric, 16),
    (b"sk_test_", is_alphanumeric, 16),
    (b"sk-ant-", is_base64url, 30),
    (b"sk-or-", is_base64url, 30),
    (b"sk-proj-", is_base64url, 30),
    (b"sk-svcacct-", is_base64url, 30),
    (b"sk-", is_alphanumeric, 32),
    (b"sq0atp-", is_base64url, 20),
    (b"sq0csp-", is_base64url, 20),
    (b"whsec_", is_base64, 20),
    (b"xapp-", is_base64url, 15),
    (b"xoxa-", is_base64url, 15),
    (b"xoxb-", is_base64url, 15),
    (b"xoxe-", is_base64url, 15),
    (b"xoxe.xoxp-", is_base64url, 15),
    (b"xoxo-", is_base64url, 15),
    (b"xoxp-", is_base64url, 15),
    (b"xoxr-", is_base64url, 15),
    (b"xoxs-", is_base64url, 15),
];

/// For each first byte, its range in [`TOKENS`].
const FIRST: [(u8, u8); 128] = {
    let mut first = [(0, 0); 128];
    let mut at = 0;
    while at < TOKENS.len() {
        let byte = TOKENS[at].0[0] as usize;
        if first[byte].1 == 0 {
            first[byte].0 = at as u8;
        }
        first[byte].1 = at as u8 + 1;
        at += 1;
    }
    first
};

/// Prefixes of tokens that end with a dot, and the minimum number of bytes that follow.
const DOTTED: &[(&[u8], usize)] =
    &[(b"SG.", 20), (b"hvs.", 20), (b"hvb.", 20), (b"hvr.", 20), (b"ya29.", 20), (b"secret-token.", 20)];

/// The minimum length of the header of a JWT.
const HEADER: usize = 14;
/// The minimum length of the other parts of a JWT.
const PART: usize = 4;
/// A header of this length without an end counts as a JWT that was cut off.
const CUT: usize = 256;

/// The minimum length of a run of token bytes, without dots.
pub(super) const SHORTEST: usize = 19;

/// Calls `each` with the place of every token.
///
/// Tokens are in runs of letters, digits, `-` and `_`. Such a run includes at least one of every nineteen bytes, so only
/// those are examined first.
///
/// `hooks` is whether the URLs of webhooks are secret.
pub(super) fn each(bytes: &[u8], hooks: bool, mut each: impl FnMut(Range<usize>)) {
    let (mut place, mut done) = (SHORTEST - 1, 0);
    while let Some(byte) = bytes.get(place) {
        if !in_run(*byte) {
            place += SHORTEST;
            continue;
        }
        let start = behind(bytes, place, SHORTEST.min(place - done), in_run);
        let end = ahead(bytes, place, usize::MAX, in_run);
        if end - start >= SHORTEST {
            let mut at = start.max(done);
            while at < end {
                at = match token(bytes, start, at..end, hooks) {
                    Some(found) => {
                        done = found.end;
                        each(found);
                        done
                    }
                    // A token may begin after a dash.
                    None => find(b'-', &bytes[..end], at).map_or(end, |dash| dash + 1),
                };
            }
        }
        place = end.max(done) + SHORTEST;
    }
}

/// The token that begins at `run.start`, in a run that begins at `first`.
fn token(bytes: &[u8], first: usize, run: Range<usize>, hooks: bool) -> Option<Range<usize>> {
    let mut at = run.start;
    if at == first {
        // After the `n` of an escaped line break, or after a percent-encoded byte.
        match bytes[..at] {
            [.., b'\\'] if matches!(bytes[at], b'n' | b't' | b'r') => at += 1,
            [.., b'%'] if bytes[at].is_ascii_digit() => at += 2,
            [.., b'.' | b':' | b'/' | b'~'] => {
                if let Some(found) = after_a_sign(bytes, run.clone(), hooks) {
                    return Some(found);
                }
            }
            _ => {}
        }
    }
    let (from, to) = FIRST.get(usize::from(*bytes.get(at)?)).copied()?;
    let known = TOKENS[usize::from(from)..usize::from(to)].iter();
    count(known.len());
    for (begins, follows, least) in known {
        if bytes[at..].starts_with(begins) {
            let start = at + begins.len();
            let end = ahead(bytes, start, usize::MAX, follows);
            let random = *begins != b"sk-" || bytes[start..end].iter().any(u8::is_ascii_digit);
            return (end - start >= *least && random).then_some(at..end);
        }
    }
    if bytes[at..].starts_with(b"eyJ") {
        return jwt(bytes, at, run.end).map(|end| at..end);
    }
    discord(bytes, at, run.end).map(|end| at..end)
}

/// The token with a sign inside whose end is `run`: one with a dotted prefix, or the URL of a webhook.
fn after_a_sign(bytes: &[u8], run: Range<usize>, hooks: bool) -> Option<Range<usize>> {
    let before = &bytes[..run.start];
    match before.last()? {
        b'.' => {
            let (begins, _) =
                DOTTED.iter().find(|(begins, least)| before.ends_with(begins) && run.len() >= *least)?;
            let start = run.start - begins.len();
            apart(bytes, start)
                .then(|| start..ahead(bytes, run.end, usize::MAX, |byte| in_run(byte) || byte == b'.'))
        }
        // Telegram: the number of a bot, and 35 bytes.
        b':' if run.len() == 35 && bytes[run.start..].starts_with(b"AA") => {
            let start = behind(bytes, run.start - 1, 12, |byte| byte.is_ascii_digit());
            (run.start - 1 - start >= 8).then_some(start..run.end)
        }
        // Microsoft Entra: three bytes, a digit, `Q~`, and the rest.
        b'~' if run.len() >= 31 && matches!(before, [.., b'0'..=b'9', b'Q', _]) => {
            Some(run.start - 6.min(run.start)..run.end)
        }
        b'/' if hooks => webhooks::hook(bytes, run.start).map(|start| {
            start..ahead(bytes, run.start, usize::MAX, |byte| {
                in_run(byte) || matches!(byte, b'/' | b'@' | b':' | b'.')
            })
        }),
        _ => None,
    }
}

/// Whether the byte before `at` is not part of a token.
fn apart(bytes: &[u8], at: usize) -> bool {
    at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// The end of a JWT or another JOSE object: parts with dots between them. The first part, which ends at `header`, is a JSON
/// object.
fn jwt(bytes: &[u8], at: usize, header: usize) -> Option<usize> {
    if header == bytes.len() && header - at > CUT {
        return Some(header);
    }
    let header = ahead(bytes, header, 2, |byte| byte == b'=');
    if bytes.get(header) != Some(&b'.') || header - at < HEADER {
        return None;
    }
    let mut end = header;
    for part in 0..4 {
        let next = ahead(bytes, end + 1, usize::MAX, is_base64url);
        if part == 0 && next - (end + 1) < PART && next != bytes.len() {
            return None;
        }
        end = next;
        if bytes.get(end) != Some(&b'.') || !bytes.get(end + 1).is_some_and(|byte| is_base64url(*byte)) {
            break;
        }
    }
    Some(end)
}

/// The end of a Discord bot token: its id in base64, which ends at `id`, a time and a signature.
fn discord(bytes: &[u8], at: usize, id: usize) -> Option<usize> {
    if !matches!(bytes[at], b'M' | b'N' | b'O') || !(23..=28).contains(&(id - at)) {
        return None;
    }
    let time = ahead(bytes, id + 1, 8, in_run);
    if bytes.get(id) != Some(&b'.') || bytes.get(time) != Some(&b'.') || !(6..=7).contains(&(time - id - 1)) {
        return None;
    }
    let end = ahead(bytes, time + 1, 64, in_run);
    (end - time > 27).then_some(end)
}

/// Calls `each` with the place of every PEM private key.
///
/// Its line breaks may be escaped (`\n`).
pub(super) fn each_key(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let mut from = 0;
    while let Some(begin) = find_text(b"-----BEGIN ", bytes, from) {
        let label = begin + "-----BEGIN ".len();
        let end = ahead(bytes, label, 64, in_label);
        from = end;
        let is_key = bytes[label..end].windows(11).any(|window| window == b"PRIVATE KEY");
        if is_key && bytes[end..].starts_with(b"-----") {
            // Without an end, the key was cut off.
            from = find_text(b"-----END ", bytes, end).map_or(bytes.len(), |last| {
                let last = ahead(bytes, last + "-----END ".len(), 64, in_label);
                ahead(bytes, last, 5, |byte| byte == b'-')
            });
            each(begin..from);
        }
    }
}

fn in_label(byte: u8) -> bool {
    is_upper(byte) || byte == b' '
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_base64url(byte: u8) -> bool {
    in_run(byte) || byte == b'='
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_sorted_by_their_first_byte() {
        assert!(TOKENS.is_sorted_by_key(|(begins, ..)| begins[0]));
        // A token is found by a run of bytes that is as long.
        assert!(TOKENS.iter().all(|(begins, _, least)| begins.len() + least >= SHORTEST));
    }
}
