//! What becomes of a component: trends, shifts, and what is not as usual.
//!
//! # Why
//! A limit that fits every service is far from what any of them usually does: calls that take ten times as long as
//! yesterday are news, long before they take five seconds. And a limit says nothing until it is reached, when there
//! was an hour to do something about it.
//!
//! A [`Watch`] holds the signs of one component. It has no clock, no lock and no thread, so that a month of it is
//! simulated within seconds; the figures stand in `figures.md`, which is part of the documentation of health.

mod baseline;
mod measure;
mod predictor;
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

pub(super) use measure::Measure;
pub(super) use predictor::Predictor;
pub use settings::PredictSettings;
