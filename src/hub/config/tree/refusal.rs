//! Why a value is not what a setting takes.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// Why a value was refused. The parts stay apart, so that the message can name the path, the source and the nearest key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub::config) enum Refusal {
    /// What is allowed.
    Expected(String),
    UnknownKey {
        name: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    Message(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(expected) => write!(f, "expected {expected}"),
            Self::UnknownKey { name, .. } => write!(f, "unknown key `{name}`"),
            Self::UnknownVariant { known } => write!(f, "expected one of {}", known.join(", ")),
            Self::MissingKey(key) => write!(f, "missing key `{key}`"),
            Self::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a type of Rust is to people who write settings.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let range = |least: &str, most: &str| format!("a whole number from {least} to {most}");
    match expected.as_str() {
        "f32" | "f64" => "a number".to_owned(),
        "u8" => range("0", "255"),
        "u16" => range("0", "65535"),
        "u32" => range("0", "4294967295"),
        "u64" | "usize" => "a whole number, at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "a borrowed string" | "path string" | "string or map" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" | "map" => "a table".to_owned(),
        "socket address" => "an address with a port, such as \"127.0.0.1:9464\"".to_owned(),
        text if text.starts_with("struct ") => "a table".to_owned(),
        text if text.starts_with("enum ") => "one of its values".to_owned(),
        _ => expected,
    }
}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        match message.to_string() {
            text if text == "invalid socket address syntax" => {
                Self::Expected("an address with a port, such as \"127.0.0.1:9464\"".to_owned())
            }
            text => Self::Message(text),
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Expected(plain(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownKey { name: field.to_owned(), known: expected }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownVariant { known: expected }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::MissingKey(field)
    }
}
