//! `GET` or `HEAD`, as settings write it.

use http::Method;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serializer};

pub(super) const ALLOWED: [Method; 2] = [Method::GET, Method::HEAD];

pub(super) fn serialize<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    ALLOWED
        .into_iter()
        .find(|method| *method == *text)
        .ok_or_else(|| de::Error::unknown_variant(&text, &["GET", "HEAD"]))
}
