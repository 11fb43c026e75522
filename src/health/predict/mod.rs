//! What becomes of a component: trends, shifts, and what is not as usual.

mod outlook;
mod risk;
mod scale;
mod season;
mod series;
mod settings;
mod shift;
#[cfg(test)]
mod simulation;
mod track;
mod trend;
mod usual;
mod watch;

pub use outlook::{Anomaly, Forecast, Outlook, RiskReason, VitalSign};
pub use settings::PredictSettings;
pub(super) use watch::{Measure, Watch};
