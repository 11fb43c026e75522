//! What was loaded.

use std::sync::Arc;

use super::sections::Settings;
use super::tree::Node;

/// What was loaded. It has no `Debug`, because it holds secrets.
#[derive(Clone)]
pub(super) struct State {
    pub(super) tree: Node,
    pub(super) settings: Arc<Settings>,
    pub(super) warnings: Vec<String>,
}
