//! All layers around an HTTP client, in their order, each of which may be absent. Start with `layers.rs`.

mod classifier;
mod layers;
mod optional;

pub(crate) use layers::{Layers, Spans, Stack};
