//! Secrets, taken out before anything leaves the process or reaches a disk.
//!
//! A password that is logged once lies in every backup of every system that logs go to. So whatever campanile
//! hands on goes through a [`Redactor`] first: the fields of spans, events and logs, what errors say, URLs,
//! dead letters. It looks at two things:
//!
//! - **Names.** What goes by the name of a secret is one: a field, a header, a parameter of a query, a member of
//!   a struct that was printed by its `Debug`, an argument of a command. Names are compared word by word, whatever their
//!   style: `token` is found in `X-Auth-Token`, `access_token` and `accessToken`, and not in `tokenizer`. What only
//!   speaks of a secret is left: a type (`password: String`), code (`token = next()`), a truth, a sentence
//!   (`invalid token: expired`).
//! - **Shapes.** Some values give themselves away under any name: numbers of payment cards and bank accounts, e-mail
//!   addresses, `Bearer` and `Basic` credentials, JWTs, private keys, keys of well-known services, the user's part of a
//!   URL and the signature in its query; and what regular expressions of your own find.
//!
//! Texts are also read as they are meant where they hold characters that are escaped as in a URL, in HTML or in JSON.
//!
//! In the place of a secret stands [`MARKER`], or, where people must see that two values are the same without
//! seeing the value, a keyed hash of it.
//!
//! [`RedactionSettings`] say what is looked for; they are on unless you turn them off. What no rule can tell is not
//! found: a password in a sentence (`the password is …`), in a column of a table (but for a body that says that it is
//! CSV), in a command of a protocol (`AUTH …`), or under a name that is not listed. In doubt a word too many goes.
//!
//! # What it costs
//! Time grows with the length of a text and not faster, whatever stands in it: about a nanosecond for each byte of
//! ordinary text, and at most 192 looks at a byte in the worst texts that tests make up (patterns of your own aside).
//! Texts that may be longer than 64 KiB belong on a thread for work that blocks; dead letters do so themselves.
//! Bytes that are not UTF-8 are searched as well: see [`Redactor::bytes`].
//!
//! Attributes of the resource, those that people give to instruments of their own, and baggage are told as they
//! are.
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
