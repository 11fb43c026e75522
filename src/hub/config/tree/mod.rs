//! The merged tree: values that know where they are from.
//!
//! Start with `node.rs`. `merge.rs` lays one layer over another, and `read.rs` makes typed settings of a tree.

mod merge;
mod node;
mod path;
mod read;
mod refusal;

pub(super) use merge::merge;
pub(super) use node::{Node, Source, Value};
pub(super) use path::{KeyPath, Step, quoted};
pub(super) use read::read;
pub(super) use refusal::Refusal;
