//! URLs of webhooks.

use super::bytes::is_name;
use super::steps::{ahead, behind};

/// URLs that are secrets themselves: with the URL alone, anyone can post.
const HOOKS: &[&[u8]] = &[
    b"hooks.slack.com/services/",
    b"hooks.slack.com/workflows/",
    b"hooks.slack.com/triggers/",
    b"hooks.zapier.com/hooks/catch/",
    b"events.pagerduty.com/integration/",
    b"discord.com/api/webhooks/",
    b"discordapp.com/api/webhooks/",
    // After the name of a tenant.
    b"webhook.office.com/webhookb2/",
];

/// The maximum distance between the start of a webhook URL and the secret part of its path.
const BEFORE: usize = 128;

/// The start of the secret part of a URL, if it is the URL of a webhook.
pub(super) fn secret_path(url: &[u8]) -> Option<usize> {
    let of = |url: &[u8]| HOOKS.iter().find(|hook| url.starts_with(hook)).map(|hook| hook.len());
    if matches!(url.first()?, b'h' | b'e' | b'd')
        && let Some(path) = of(url)
    {
        return Some(path);
    }
    let label = ahead(url, 0, 64, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let host = url.get(label..)?.strip_prefix(b".")?;
    host.starts_with(b"webhook.").then(|| of(host)).flatten().map(|path| label + 1 + path)
}

/// The start of the secret part of a webhook URL whose path continues at `at`. The URL may have no scheme.
pub(super) fn hook(bytes: &[u8], at: usize) -> Option<usize> {
    let start = behind(bytes, at, BEFORE, |byte| is_name(byte) || byte == b'/' || byte == b'@');
    let start = ahead(bytes, start, 2, |byte| byte == b'/');
    let path = start + secret_path(&bytes[start..])?;
    (path <= at).then_some(path)
}
