//! The vital signs of a component, from its evidence.

use super::evidence::Evidence;
use super::numbers::count;
use super::outlook::VitalSign;
use super::predict::Measure;
use super::settings::HealthSettings;
use crate::signal::{LOOK_BACK, Watched};

/// The figures of `evidence` that are followed over time.
pub(super) fn measures(evidence: &Evidence, settings: &HealthSettings) -> Vec<Measure> {
    let mut found = Vec::with_capacity(8);
    let mut measure = |sign, value, limit, weight, error| {
        found.push(Measure { sign, value, limit, weight, error });
    };
    if let Some(vital) = &evidence.vital {
        let calls = count(vital.recent.calls);
        measure(VitalSign::Rate, calls / LOOK_BACK.as_secs_f64(), f64::INFINITY, 1.0, 0.0);
        if vital.recent.calls > 0 {
            measure(VitalSign::ErrorShare, vital.recent.failure_rate(), settings.error_share, calls, 0.0);
            let (mean, limit) = (vital.recent_mean, settings.mean_duration);
            measure(
                VitalSign::MeanDuration,
                mean.as_secs_f64(),
                limit.as_secs_f64(),
                calls,
                vital.recent_mean_error,
            );
        }
    }
    if let Some((waiting, _)) = evidence.letters {
        measure(VitalSign::Letters, count(waiting), count(settings.letters), 1.0, 0.0);
    }
    for (watched, sign) in [
        (Watched::Cpu, VitalSign::CpuUsage),
        (Watched::Memory, VitalSign::MemoryUsage),
        (Watched::Disk, VitalSign::DiskUsage),
        (Watched::Temperature, VitalSign::Temperature),
    ] {
        // Of several disks or sensors, the one that is closest to its limit.
        let worst = evidence
            .machine
            .iter()
            .filter(|found| found.watched == watched)
            .max_by(|a, b| (a.value / a.limit).total_cmp(&(b.value / b.limit)));
        if let Some(worst) = worst {
            measure(sign, worst.value, worst.limit, 1.0, 0.0);
        }
    }
    found
}
