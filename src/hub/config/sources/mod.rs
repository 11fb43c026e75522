//! Where settings are from.
//!
//! `preset.rs`, `file.rs`, `environment.rs` and `arguments.rs` each make the tree of one layer. `toml.rs` and `json.rs` parse
//! a file, with the line of each value. `aliases.rs` holds other spellings of variables. `secrets.rs` reads what
//! `{ file = … }` and `{ env = … }` stand for, once the layers are merged.

mod aliases;
mod arguments;
mod environment;
mod file;
mod json;
mod preset;
mod secrets;
mod toml;
mod variables;

pub(super) use arguments::arguments;
pub(super) use environment::{environment, unaddressable};
pub(super) use file::read;
pub use preset::Preset;
pub(super) use secrets::resolve;
pub(super) use variables::Variables;
