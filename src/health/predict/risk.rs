//! The risk that follows from anomalies and forecasts, with its reasons.
//!
//! As with scores, risks are counted in points: the reasons add up to exactly the risk.

use std::fmt;
use std::time::Duration;

use super::scale::Scale;
use super::settings::PredictSettings;
use crate::health::outlook::{Anomaly, Forecast, RiskReason, VitalSign};
use crate::health::points::{WHOLE, score};

/// The maximum risk of a forecast.
const FORECAST: f64 = 0.6;

/// Seconds until the limit at which a forecast has half its maximum risk.
const HALF: f64 = 3_600.0;

/// An anomaly of this multiple of its limit has its maximum risk.
const FULL_AT: f64 = 4.0;

/// The part of its maximum risk that an anomaly at its limit has. A shift by less than the limit has the same.
const AT_LIMIT: f64 = 0.25;

/// Reasons, with the points that each would have alone.
#[derive(Default)]
pub(super) struct Risk(Vec<(u32, VitalSign, String)>);

impl Risk {
    /// Returns the risk and its reasons, the largest first.
    pub(super) fn of(
        anomalies: &[Anomaly],
        forecasts: &[Forecast],
        settings: &PredictSettings,
    ) -> (f64, Vec<RiskReason>) {
        let mut found = Self::default();
        anomalies.iter().for_each(|anomaly| found.anomaly(anomaly, settings.deviations));
        forecasts.iter().for_each(|forecast| found.forecast(forecast));
        found.close()
    }

    fn anomaly(&mut self, anomaly: &Anomaly, limit: f64) {
        let scale = Scale::of(anomaly.sign);
        let worse = anomaly.z * scale.worse;
        // Fewer errors than usual are an anomaly, but no risk.
        if worse <= 0.0 {
            return;
        }
        let beyond = ((worse / limit - 1.0) / (FULL_AT - 1.0)).clamp(0.0, 1.0);
        let (what, value) = (what(anomaly.sign), Figure(anomaly.sign, anomaly.value));
        let usual = Figure(anomaly.sign, anomaly.usual);
        self.enter(anomaly.sign, scale.weight * (AT_LIMIT + (1.0 - AT_LIMIT) * beyond), || {
            let lasting = if anomaly.shifted { " for some time" } else { "" };
            format!("{what} has been {value}{lasting}; usually it is {usual}")
        });
    }

    fn forecast(&mut self, forecast: &Forecast) {
        let after = forecast.reaches_limit_in;
        let risk = FORECAST * forecast.confidence / (1.0 + after.as_secs_f64() / HALF);
        let (what, limit) = (what(forecast.sign), Figure(forecast.sign, forecast.limit));
        self.enter(forecast.sign, risk, || {
            let after = humantime::format_duration(coarse(after));
            format!("{what} reaches its limit of {limit} in {after} if the trend continues")
        });
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1,024; `as` saturates.
    fn enter(&mut self, sign: VitalSign, risk: f64, text: impl FnOnce() -> String) {
        let parts = ((risk * f64::from(WHOLE)).round() as u32).min(WHOLE);
        if parts > 0 {
            self.0.push((parts, sign, text()));
        }
    }

    fn close(mut self) -> (f64, Vec<RiskReason>) {
        self.0.sort_by_key(|(parts, ..)| std::cmp::Reverse(*parts));
        let mut left = WHOLE;
        let reasons = self
            .0
            .into_iter()
            .map(|(parts, sign, text)| {
                let risk = parts.min(left);
                left -= risk;
                RiskReason { sign, risk: score(risk), text }
            })
            .collect();
        (score(WHOLE - left), reasons)
    }
}

/// Rounded down to whole minutes; to whole seconds below two minutes.
fn coarse(after: Duration) -> Duration {
    let seconds = after.as_secs();
    Duration::from_secs(if seconds < 120 { seconds } else { seconds / 60 * 60 })
}

fn what(sign: VitalSign) -> &'static str {
    match sign {
        VitalSign::ErrorShare => "the share of failed calls",
        VitalSign::MeanDuration => "the mean duration of calls",
        VitalSign::Rate => "the number of calls per second",
        VitalSign::Letters => "the number of waiting dead letters",
        VitalSign::CpuUsage => "the use of the processors",
        VitalSign::MemoryUsage => "the use of the memory",
        VitalSign::DiskUsage => "the use of the disk",
        VitalSign::Temperature => "the temperature",
    }
}

/// A figure with its unit.
struct Figure(VitalSign, f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(sign, value) = *self;
        match sign {
            VitalSign::ErrorShare | VitalSign::CpuUsage | VitalSign::MemoryUsage | VitalSign::DiskUsage => {
                write!(f, "{:.1} %", value * 100.0)
            }
            VitalSign::MeanDuration => match Duration::try_from_secs_f64(value) {
                Ok(duration) => write!(f, "{duration:.1?}"),
                Err(_) => write!(f, "{value:.1} s"),
            },
            VitalSign::Rate => write!(f, "{value:.1}"),
            VitalSign::Letters => write!(f, "{value:.0}"),
            VitalSign::Temperature => write!(f, "{value:.0} \u{b0}C"),
        }
    }
}
