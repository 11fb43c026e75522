//! A plain request as JSON, and whether it can be read back unchanged: start at `encode.rs`.
//!
//! Letters hold JSON so that people can read them and secrets can be found by name. JSON holds less than serde's data
//! model. An infinite number in an `Option` comes back as `None`, and so does `Some(None)`. The numeric keys of a flattened
//! map cannot be read back. Numbers of 128 bits and keys that are structs cannot be written. So each request is read
//! back when it is parked, and the digests of both values are compared. If they differ, the letter is evidence only, and no
//! redrive sends it.

mod depth;
mod digest;
mod encode;
mod readable;

pub(super) use encode::{Encoded, encode};
