//! Removes secrets before a letter is stored: start at `redactor.rs`. `http.rs` redacts HTTP requests, and `signed.rs` knows
//! the URIs whose signature must stay.

mod http;
mod redactor;
mod signed;

pub(super) use redactor::LetterRedactor;
