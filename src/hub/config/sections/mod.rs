//! The sections of the tree, as types.
//!
//! Start with `settings.rs`, the whole tree. Each other file is one section, or one kind of section that has a name for
//! each of its things: `[dependency.payments]`. `switch.rs` reads what is either a table or `false`.

mod data;
mod database;
mod dependency;
mod endpoint;
mod letters;
mod logging;
mod metrics;
mod server;
mod settings;
pub(super) mod switch;
mod worker;

pub use data::DataSettings;
pub use database::DatabaseSettings;
pub use dependency::DependencySettings;
pub use endpoint::EndpointSettings;
pub use letters::LettersSettings;
pub use logging::LoggingSettings;
pub use metrics::MetricsSettings;
pub use server::ServerSettings;
pub use settings::Settings;
pub use worker::WorkerSettings;
