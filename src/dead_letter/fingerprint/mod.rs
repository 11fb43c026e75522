//! The shape of an error message, which decides its fingerprint: start at `shape.rs`.

mod shape;
mod tokens;
mod words;

pub(super) use shape::shape;
