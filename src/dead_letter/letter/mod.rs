//! The contents of a letter: start at `types.rs`. `http.rs` has the request of an HTTP letter, `entry.rs` the form in
//! which a store keeps a letter.

mod entry;
mod http;
mod types;
mod unsendable;

pub use http::{BodyState, HeaderText, HttpRequest};
pub use types::{Attempt, Letter, Payload, RawLetter, Redaction};
pub use unsendable::Unsendable;
