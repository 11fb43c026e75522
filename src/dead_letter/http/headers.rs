//! Headers that a redrive and the layers share.

use http::HeaderName;

/// The header by which a server recognises a request that it has seen before.
pub(in crate::dead_letter) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header that marks a request as a letter that is sent again. Its value is the id of the letter.
pub(in crate::dead_letter) const LETTER: HeaderName = HeaderName::from_static("campanile-letter");
