//! What becomes of a component: trends, shifts, and what is not as usual.

mod outlook;
mod watch;

pub use outlook::{Anomaly, Forecast, Outlook, RiskReason, VitalSign};
pub(super) use watch::{Measure, Watch};
