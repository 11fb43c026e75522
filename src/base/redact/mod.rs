//! Removes secrets before anything leaves the process or reaches a disk.
//!
//! To read the code, start with `redactor.rs`, then `text.rs`, the search of one text. The files have three levels:
//!
//! 1. Definitions of secrets: `names.rs` with `words.rs`, `defaults.rs` and `rule.rs`, and one file for each shape, such as
//!    `cards.rs` and `tokens.rs`.
//! 2. Searches: `pairs.rs`, `quoted.rs`, `arguments.rs`, `named_values.rs`, `lines.rs`, `urls.rs`, `json.rs`, `csv.rs` and
//!    `body.rs`. They share the state in `search.rs`. `harmless.rs` and `code.rs` exclude values that are not secrets.
//! 3. [`Redactor`].
//!
//! A password that is logged once is in every backup of every system that stores the logs. So a [`Redactor`] processes all
//! data that campanile passes on: fields of spans, events and logs, texts of errors, URLs, dead letters. It finds secrets in
//! two ways:
//!
//! - **Names.** The value of a field, a header, a query parameter, a member in `Debug` output, or a command argument is a
//!   secret if its name is that of a secret. Names are compared word by word, in any style: `token` is found in
//!   `X-Auth-Token`, `access_token` and `accessToken`, and not in `tokenizer`. Values that are certainly not secrets stay: a type
//!   (`password: String`), code (`token = next()`), a boolean, a sentence (`invalid token: expired`).
//! - **Shapes.** Some values are found under any name: numbers of payment cards and bank accounts, e-mail addresses, `Bearer`
//!   and `Basic` credentials, JWTs, private keys, keys of well-known services, the user part of a URL and the signature in
//!   its query, and matches of your own regular expressions.
//!
//! Text that is escaped as in a URL, in HTML or in JSON is also searched unescaped.
//!
//! A secret is replaced by [`MARKER`], or by a keyed hash if people must see that two values are equal without seeing them.
//!
//! [`RedactionSettings`] say what is redacted. Redaction is on by default. These secrets are not found: a password in a
//! sentence (`the password is …`), in a column of a table (except in a body with a CSV content type), in a command of a
//! protocol (`AUTH …`), or under a name that is not listed. In doubt, too much is removed.
//!
//! # Costs
//! The time is linear in the length of the text, for any text: about a nanosecond per byte of ordinary text, and at most 192
//! steps per byte in the worst texts of the tests, not counting your own patterns. Redact texts longer than 64 KiB on a
//! thread for blocking work; dead letters do so. [`Redactor::bytes`] redacts bytes that are not UTF-8.
//!
//! Resource attributes, attributes of your own instruments, and baggage are not redacted.
//!
//! # Example
//! ```
//! use campanile::redact::{RedactionSettings, Redactor};
//!
//! # fn main() -> Result<(), campanile::ConfigError> {
//! let settings = RedactionSettings::default()
//!     .mask(["room"])
//!     .hash(["customer"])
//!     .leave(["page_token"])
//!     .key("0123456789abcdef0123456789abcdef"); // or the variable CAMPANILE_REDACTION_KEY
//! let redactor = Redactor::from_settings(&settings)?;
//!
//! assert_eq!(redactor.text("GET /login?token=abc&page_token=7"), "GET /login?token=[redacted]&page_token=7");
//! assert_eq!(redactor.text("mail to ann@example.com failed"), "mail to [redacted] failed");
//! assert_eq!(redactor.text("Stay { guest: \"ann\", room: 4711 }"), "Stay { guest: \"ann\", room: [redacted] }");
//! assert!(redactor.value("customer", "c-17").starts_with("hash:"));
//! assert_eq!(redactor.value("customer", "c-17"), redactor.value("customer", "c-17"));
//! # Ok(())
//! # }
//! ```

mod arguments;
mod body;
mod bytes;
mod cards;
mod code;
mod credentials;
mod csv;
mod defaults;
mod emails;
mod escapes;
mod harmless;
mod ibans;
mod json;
mod keyed;
mod kubernetes;
mod lines;
mod marker;
mod multipart;
mod named_values;
mod names;
#[cfg(test)]
mod names_tests;
mod numbers;
mod pair;
mod pairs;
mod quoted;
mod redactor;
mod rule;
mod rules;
mod scan;
mod search;
mod settings;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod tokens;
mod treatment;
mod urls;
mod values;
mod webhooks;
mod words;

pub(crate) use body::Body;
pub use keyed::HashKey;
pub use marker::MARKER;
pub(crate) use named_values::{is_name_of, is_value_of};
pub use redactor::Redactor;
pub(crate) use rule::Rule;
pub(crate) use search::Format;
pub use settings::RedactionSettings;
pub use treatment::Treatment;
