//! What becomes of a component: trends, shifts, and what is not as usual.

mod outlook;
mod settings;
mod watch;

pub use outlook::{Anomaly, Forecast, Outlook, RiskReason, VitalSign};
pub use settings::PredictSettings;
pub(super) use watch::{Measure, Watch};
