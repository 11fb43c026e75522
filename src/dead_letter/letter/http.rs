//! The request of an HTTP letter.

use serde::{Deserialize, Serialize};

/// An HTTP request as a letter holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The URI, as the layer saw it.
    pub uri: String,
    /// The version, such as `HTTP/1.1`.
    pub version: String,
    /// The headers, in order. A name may occur more than once.
    pub headers: Vec<(String, HeaderText)>,
    /// How much of the body is there.
    pub body_state: BodyState,
    /// The trailers. A redrive does not send them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<(String, HeaderText)>,
    /// The body, or the first part of it.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// The value of a header, or other bytes that are usually text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderText {
    /// UTF-8.
    Text(String),
    /// Any other bytes.
    Bytes(Vec<u8>),
}

/// How much of the body of a request a letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyState {
    /// All of it.
    Complete,
    /// The first part: the rest did not arrive in time, or its sender failed.
    Partial,
    /// Nothing, because the body is larger than the cap. This many bytes were read.
    TooLarge(u64),
    /// Nothing, because the body could not be searched for secrets, and
    /// [`opaque_bodies`](crate::dead_letter::DeadLetterSettings::opaque_bodies) is off. It had this many bytes.
    Unsearched(u64),
}

impl HeaderText {
    /// The value as it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for HeaderText {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Vec<u8>> for HeaderText {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

impl From<HeaderText> for Vec<u8> {
    fn from(text: HeaderText) -> Self {
        match text {
            HeaderText::Text(text) => text.into_bytes(),
            HeaderText::Bytes(bytes) => bytes,
        }
    }
}

impl Default for HeaderText {
    fn default() -> Self {
        Self::Text(String::new())
    }
}
