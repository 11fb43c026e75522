//! The default names of secrets.

use super::rule::Form;

/// Secret anywhere in a name, with any value.
pub(super) const SECRET: &[&str] = &[
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pgpassword",
    "secret",
    "secrets",
    "client-secret",
    "secret-key",
    "token",
    "access-token",
    "auth-token",
    "refresh-token",
    "id-token",
    "jwt",
    "api-key",
    "api-keys",
    "private-key",
    "access-key",
    "account-key",
    "signing-key",
    "encryption-key",
    "ocp-apim-subscription-key",
    "x-functions-key",
    "session-id",
    "sessid",
    "credential",
    "credentials",
    "creds",
    "pswd",
    "master-key",
    "shared-key",
    "auth-key",
    "session-key",
    "ssh-key",
    "hmac-key",
    "storage-key",
    "license-key",
    "decryption-key",
    "subscription-key",
    "application-key",
    "client-key-data",
    "code-verifier",
    "client-assertion",
    "device-code",
    "saml-response",
    "recovery-code",
    "recovery-codes",
    "backup-codes",
    "security-answer",
    "seed-phrase",
    "connection-string",
    "passwort",
    "kennwort",
    "contraseña",
    "contrasena",
    "mot-de-passe",
    "senha",
    "пароль",
    "密码",
    "パスワード",
];

/// Secret as the end of a single word: `dbpassword`.
pub(super) const ENDINGS: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"token",
    b"apikey",
    b"secretkey",
    b"accesskey",
    b"sessionid",
    b"sessid",
    b"passwort",
];

/// The length of the shortest of [`ENDINGS`], in bytes.
pub(super) const SHORTEST_ENDING: usize = 5;

/// Secret at the end of a name, if the value has the form.
pub(super) const LAST: &[(&str, Form)] = &[
    ("tokens", Form::NoCount(9)),
    ("db-pass", Form::Any),
    ("user-pass", Form::Any),
    ("admin-pass", Form::Any),
    ("root-pass", Form::Any),
    ("smtp-pass", Form::Any),
    ("ftp-pass", Form::Any),
    ("mysql-pass", Form::Any),
    ("redis-pass", Form::Any),
    ("mail-pass", Form::Any),
    ("ldap-pass", Form::Any),
    ("vault-pass", Form::Any),
    ("ssh-pass", Form::Any),
    ("x-auth", Form::Any),
    ("pw", Form::NoCount(9)),
    ("sid", Form::Random(8)),
    ("bearer", Form::Random(8)),
    ("otp", Form::Digits(4, 10)),
    ("pin", Form::Digits(4, 12)),
    ("ssn", Form::Digits(4, 9)),
    ("cvv", Form::Digits(3, 4)),
    ("cvv2", Form::Digits(3, 4)),
    ("cvc", Form::Digits(3, 4)),
    ("csc", Form::Digits(3, 4)),
];

/// Secret as a whole name, if the value has the form.
pub(super) const WHOLE: &[(&str, Form)] =
    &[("pass", Form::NoCount(3)), ("passin", Form::Any), ("passout", Form::Any), ("auth", Form::Random(8))];

/// Last words of names that describe a secret and do not hold one: `token_type`, `password_min_length`. Sorted.
pub(super) const DESCRIBES: &[&[u8]] = &[
    b"age",
    b"alg",
    b"algorithm",
    b"at",
    b"audience",
    b"body",
    b"caption",
    b"count",
    b"days",
    b"description",
    b"dir",
    b"domain",
    b"enabled",
    b"endpoint",
    b"error",
    b"errors",
    b"exp",
    b"expiration",
    b"expired",
    b"expires",
    b"expiry",
    b"field",
    b"file",
    b"form",
    b"format",
    b"header",
    b"heading",
    b"help",
    b"hours",
    b"in",
    b"index",
    b"issuer",
    b"kind",
    b"label",
    b"len",
    b"length",
    b"lifetime",
    b"limit",
    b"link",
    b"max",
    b"message",
    b"min",
    b"minutes",
    b"ms",
    b"name",
    b"page",
    b"path",
    b"placeholder",
    b"policy",
    b"provider",
    b"ref",
    b"required",
    b"reset",
    b"rotation",
    b"scheme",
    b"seconds",
    b"secs",
    b"size",
    b"state",
    b"status",
    b"store",
    b"strength",
    b"subject",
    b"title",
    b"tooltip",
    b"ttl",
    b"type",
    b"uri",
    b"url",
    b"usage",
    b"valid",
    b"version",
];

/// Names of lists that refer to secrets by name, in lower case and without separators.
pub(super) const NAME_LISTS: &[&[u8]] = &[b"imagepullsecrets"];

/// Query parameters that authorize anyone who has the URL. Source: the OpenTelemetry convention for `url.full`.
pub(super) const SIGNATURES: &[&str] = &["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// Query parameters with an authorization code or an API key. They are secret if their value looks random.
pub(super) const CODES: &[&str] = &["code", "key"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_describe_are_sorted() {
        assert!(DESCRIBES.is_sorted());
    }

    #[test]
    fn the_shortest_ending_is_the_shortest() {
        assert_eq!(ENDINGS.iter().map(|ending| ending.len()).min(), Some(SHORTEST_ENDING));
    }
}
