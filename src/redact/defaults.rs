//! Which names are those of secrets unless settings say otherwise.

use super::names::{Names, Place};
use super::rule::Form;

/// What is secret wherever it stands in a name, whatever its value.
const SECRET: &[&str] = &[
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
    "credential",
    "credentials",
];

/// What is secret where a name ends with it, if the value has the form.
const LAST: &[(&str, Form)] = &[
    ("tokens", Form::NoCount(9)),
    ("db-pass", Form::Any),
    ("user-pass", Form::Any),
    ("admin-pass", Form::Any),
    ("root-pass", Form::Any),
    ("smtp-pass", Form::Any),
    ("ftp-pass", Form::Any),
    ("mysql-pass", Form::Any),
    ("redis-pass", Form::Any),
    ("x-auth", Form::Any),
    ("otp", Form::Digits(4, 10)),
    ("pin", Form::Digits(4, 12)),
    ("ssn", Form::Digits(4, 9)),
    ("cvv", Form::Digits(3, 4)),
    ("cvv2", Form::Digits(3, 4)),
    ("cvc", Form::Digits(3, 4)),
    ("csc", Form::Digits(3, 4)),
];

/// Last words of names that describe a secret and hold none: `token_type`, `password_min_length`. Sorted.
pub(super) const DESCRIBES: &[&[u8]] = &[
    b"age",
    b"alg",
    b"algorithm",
    b"at",
    b"audience",
    b"count",
    b"days",
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
    b"format",
    b"header",
    b"hours",
    b"in",
    b"index",
    b"issuer",
    b"kind",
    b"len",
    b"length",
    b"lifetime",
    b"limit",
    b"max",
    b"min",
    b"minutes",
    b"ms",
    b"name",
    b"path",
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
    b"ttl",
    b"type",
    b"uri",
    b"url",
    b"usage",
    b"valid",
    b"version",
];

pub(super) fn add(names: &mut Names) {
    SECRET.iter().for_each(|name| names.set_default(name, Form::Any, Place::Anywhere));
    LAST.iter().for_each(|(name, form)| names.set_default(name, *form, Place::Last));
    names.set_default("pass", Form::NoCount(3), Place::Whole);
}

#[cfg(test)]
mod tests {
    use super::DESCRIBES;

    #[test]
    fn words_that_describe_are_sorted() {
        assert!(DESCRIBES.is_sorted());
    }
}
