//! The sections of the tree, as types.
//!
//! Start with `settings.rs`, the whole tree. Each other file is one section, or one kind of section that has a name for
//! each of its things: `[dependency.payments]`. `switch.rs` reads what is either a table or `false`.

mod database;
mod dependency;
mod endpoint;
mod letters;
mod logging;
mod metrics;
mod server;
mod settings;
pub(super) mod switch;
mod times;
mod worker;

pub use database::DatabaseSection;
pub use dependency::DependencySection;
pub use endpoint::EndpointSection;
pub use letters::LettersSection;
pub use logging::LoggingSection;
pub use metrics::MetricsSection;
pub use server::ServerSection;
pub use settings::Settings;
pub use worker::WorkerSection;
