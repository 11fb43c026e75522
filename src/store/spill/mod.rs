//! Letters that their store did not take.

mod settings;

pub use settings::SpillSettings;
