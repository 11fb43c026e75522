//! One configuration: defaults, preset, file, environment, arguments.
//!
//! Start with `sections/settings.rs`, the whole tree as types.

mod sections;

pub use sections::{
    DataSettings, DatabaseSettings, DependencySettings, EndpointSettings, LettersSettings, LoggingSettings,
    MetricsSettings, ServerSettings, Settings, WorkerSettings,
};
