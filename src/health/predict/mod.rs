//! Prediction: anomalies, shifts and trends of the vital signs of a component. To read the code, start at `track.rs`,
//! which follows one sign; `predictor.rs` follows all signs of a component.
//!
//! # Why
//! A limit that fits every service is far from what is usual for any of them: calls that take ten times as long as
//! yesterday are a problem long before they take five seconds. And a limit that is reached leaves no time to act.
//!
//! A [`Predictor`] has no clock, no lock and no thread, so that tests simulate months of it within seconds. Their figures
//! are in `figures.md`, which is part of the documentation of health.

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
