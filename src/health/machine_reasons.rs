//! Reasons from the figures of a machine or device.

use super::reason::{Reason, ReasonKind};
use super::settings::Weights;
use crate::signal::{Level, MachineSign, Watched};

/// One reason for each figure at its warning or critical threshold, the worst first.
pub(super) fn reasons(signs: &[MachineSign], weights: &Weights) -> Vec<Reason> {
    let mut found: Vec<(f64, &MachineSign)> = signs
        .iter()
        .filter_map(|sign| match sign.level {
            Level::Fine => None,
            Level::Warning => Some((weights.machine_warning, sign)),
            Level::Critical => Some((weights.machine_critical, sign)),
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    found.sort_by(|(_, a), (_, b)| (b.level, a.watched, &a.which).cmp(&(a.level, b.watched, &b.which)));
    found
        .into_iter()
        .map(|(weight, sign)| {
            let (figure, limit) = (sign.value, sign.limit);
            Reason { kind: kind(sign.watched), figure, limit, weight, cost: 0.0, text: text(sign) }
        })
        .collect()
}

fn kind(watched: Watched) -> ReasonKind {
    match watched {
        Watched::Cpu => ReasonKind::CpuUsage,
        Watched::Memory => ReasonKind::MemoryUsage,
        Watched::Disk => ReasonKind::DiskUsage,
        Watched::Load => ReasonKind::Load,
        Watched::Temperature => ReasonKind::Temperature,
        Watched::State => ReasonKind::DeviceState,
        Watched::Measurement => ReasonKind::Measurement,
    }
}

fn text(sign: &MachineSign) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let (what, unit): (String, &dyn Fn(f64) -> String) = match sign.watched {
        Watched::Cpu => (format!("{} of the processors are in use", percent(sign.value)), &percent),
        Watched::Memory => (format!("{} of the memory is in use", percent(sign.value)), &percent),
        Watched::Disk => {
            let which = sign.which.as_deref().unwrap_or("the disk");
            (format!("{which} is {} full", percent(sign.value)), &percent)
        }
        Watched::Load => {
            (format!("the five-minute load average is {:.2} per processor", sign.value), &|load| {
                format!("{load:.2}")
            })
        }
        Watched::Temperature => {
            let sensor = sign.which.as_deref().map(|which| format!(" ({which})")).unwrap_or_default();
            (format!("the temperature{sensor} is {:.0} \u{b0}C", sign.value), &|degrees| {
                format!("{degrees:.0} \u{b0}C")
            })
        }
        Watched::Measurement => {
            let which = sign.which.as_deref().unwrap_or("the value");
            (format!("{which} is {}", number(sign.value)), &number)
        }
        Watched::State => {
            let which = sign.which.as_deref().unwrap_or("the device");
            let state = if sign.level == Level::Critical { "failed" } else { "is degraded" };
            return format!("{which} {state}");
        }
    };
    let level = if sign.level == Level::Critical { "critical" } else { "warning" };
    format!("{what}; {level} from {} until it falls below {}", unit(sign.limit), unit(sign.left_below))
}

/// A value of any unit, without more digits than people read.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::health::evidence::Evidence;
    use crate::health::points::score;
    use crate::health::{HealthSettings, Status};
    use proptest::prelude::*;

    const WATCHED: [Watched; 7] = [
        Watched::Cpu,
        Watched::Memory,
        Watched::Disk,
        Watched::Load,
        Watched::Temperature,
        Watched::State,
        Watched::Measurement,
    ];

    prop_compose! {
        pub(in crate::health) fn sign()(
            watched in prop::sample::select(&WATCHED[..]),
            level in prop::sample::select(&[Level::Fine, Level::Warning, Level::Critical][..]),
            value in 0.0_f64..100.0,
            limit in 0.1_f64..100.0,
        ) -> MachineSign {
            MachineSign { watched, which: None, value, level, limit, left_below: limit * 0.95 }
        }
    }

    fn at(watched: Watched, level: Level, which: Option<&str>) -> MachineSign {
        let which = which.map(Into::into);
        MachineSign { watched, which, value: 0.96, level, limit: 0.95, left_below: 0.9025 }
    }

    #[test]
    fn p50_the_worst_figure_sets_the_cost_and_each_is_a_reason() {
        use Level::{Critical, Fine, Warning};
        let judged = |machine: Vec<MachineSign>| {
            let verdict = Evidence { machine, ..Evidence::default() }.judge(&HealthSettings::default());
            let kinds: Vec<_> = verdict.reasons.iter().map(|reason| reason.kind).collect();
            (verdict.status, score(verdict.points), kinds)
        };
        let (cpu, load) = (at(Watched::Cpu, Warning, None), at(Watched::Load, Warning, None));
        let disk = at(Watched::Disk, Critical, Some("/data"));
        assert_eq!(judged(vec![at(Watched::Cpu, Fine, None)]), (Status::Healthy, 1.0, vec![]));
        assert_eq!(judged(vec![cpu.clone()]), (Status::Degraded, 0.75, vec![ReasonKind::CpuUsage]));
        assert_eq!(
            judged(vec![load.clone(), cpu.clone()]),
            (Status::Degraded, 0.75, vec![ReasonKind::CpuUsage, ReasonKind::Load])
        );
        assert_eq!(
            judged(vec![cpu, disk, load]),
            (Status::Unhealthy, 0.5, vec![ReasonKind::DiskUsage, ReasonKind::CpuUsage, ReasonKind::Load])
        );
    }

    #[test]
    fn p50_a_reason_names_the_figure_its_value_its_limit_and_its_place() {
        use Level::{Critical, Warning};
        let warm = MachineSign {
            value: 88.0,
            limit: 85.0,
            left_below: 80.75,
            ..at(Watched::Temperature, Warning, None)
        };
        let busy =
            MachineSign { value: 2.5, limit: 2.0, left_below: 1.9, ..at(Watched::Load, Warning, None) };
        for (sign, expected) in [
            (
                at(Watched::Cpu, Critical, None),
                "96.0 % of the processors are in use; critical from 95.0 % until it falls below 90.2 %",
            ),
            (
                at(Watched::Memory, Critical, None),
                "96.0 % of the memory is in use; critical from 95.0 % until it falls below 90.2 %",
            ),
            (
                at(Watched::Disk, Warning, Some("/data")),
                "/data is 96.0 % full; warning from 95.0 % until it falls below 90.2 %",
            ),
            (
                busy,
                "the five-minute load average is 2.50 per processor; warning from 2.00 until it falls below 1.90",
            ),
            (warm, "the temperature is 88 \u{b0}C; warning from 85 \u{b0}C until it falls below 81 \u{b0}C"),
            (at(Watched::State, Warning, None), "the device is degraded"),
            (
                MachineSign {
                    value: 1_200.0,
                    limit: 1_000.0,
                    left_below: 950.0,
                    ..at(Watched::Measurement, Critical, Some("queue.depth"))
                },
                "queue.depth is 1200; critical from 1000 until it falls below 950",
            ),
            (at(Watched::State, Critical, Some("GPU-1")), "GPU-1 failed"),
        ] {
            assert_eq!(text(&sign), expected);
        }
    }
}
