//! One configuration: defaults, preset, file, environment, arguments.
//!
//! To read the code, start with `sections/settings.rs`, the whole tree as types, then `layers.rs`, which reads and merges
//! the layers of `sources/` into a tree of `tree/`. `typed.rs` makes settings of it, with `ranges.rs`. `handle.rs` holds them,
//! `changes.rs` compares two of them, `show.rs` and `template.rs` write them.
#![doc = include_str!("../../../docs/configuration.md")]

mod changes;
mod explanations;
mod fault;
mod handle;
mod layers;
mod loader;
mod mask;
mod nearest;
mod printable;
mod ranges;
mod sections;
mod shape;
mod show;
mod sources;
mod state;
mod template;
mod toml_text;
mod tree;
mod typed;

pub use changes::{Change, Changes};
pub use fault::{ConfigErrors, ConfigFault};
pub use handle::Config;
pub use loader::ConfigLoader;
pub use sections::{
    DatabaseSection, DependencySection, EndpointSection, LettersSection, LoggingSection, MetricsSection,
    ServerSection, Settings, WorkerSection,
};
pub(super) use shape::{NAMES, is_name};
pub use sources::Preset;
pub use template::template;
