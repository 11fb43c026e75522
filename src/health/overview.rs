//! What matters about this process at one moment, for people: on a console, in a report, on a page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::handle::Health;
use super::overview_text::{Parts, write};
use super::snapshot::HealthSnapshot;
use crate::signal::{
    self, BREAKER_CIRCUITS, BREAKER_STATE, LETTERS_DEPTH, LETTERS_SPILL_DEPTH, Metric, PROCESS_MEMORY_USAGE,
    SYSTEM_CPU_UTILIZATION, SYSTEM_MEMORY_UTILIZATION,
};

/// What matters about this process at one moment, from what its handles count anyway: see [`Health::overview`].
///
/// `Display` writes at most 15 lines of plain text without a line break at the end:
///
/// ```text
/// shop is degraded (score 0.81) and ready: `payments` is unhealthy
/// 1200 calls in the last minute, 12 failed (1.0 %)
///   checkout: 800 calls, 2 failed, p95 120.0ms
///   payments: 400 calls, 10 failed, p95 1.2s
/// payments is unhealthy: the circuit is open
/// circuits: payments is open
/// letters: 12 wait in payments
/// machine: 34 % of the processors, 61 % of the memory; this process: 120 MiB
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// The name of the service, if a pipeline was started.
    pub service: Option<String>,
    /// Whether this process is ready for requests.
    pub ready: bool,
    /// The health of the process and of each component.
    pub health: Arc<HealthSnapshot>,
    /// The circuits that are not closed, by the name of the breaker, with their state. For a keyed breaker, the number of
    /// its circuits by state.
    pub circuits: BTreeMap<String, String>,
    /// The number of waiting letters by queue, those in the spill included; without empty queues.
    pub letters: BTreeMap<String, u64>,
    /// The share of the processors in use, in 0..=1, if a sampler reads it.
    pub cpu: Option<f64>,
    /// The share of the memory in use, in 0..=1, if a sampler reads it.
    pub memory: Option<f64>,
    /// The resident memory of this process in bytes, if a sampler reads it.
    pub process_memory: Option<u64>,
}

impl Health {
    /// What matters about this process now, as a text or as JSON: requests and failures of the last minute, circuits that are
    /// not closed, letters that wait, the health with its reasons, and the machine.
    ///
    /// It reads what the circuits, queues and samplers of this process last measured, and makes no system call. It is meant
    /// for a line on the console every few minutes and for a page, not for each request.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    ///
    /// let health = Health::standalone();
    /// println!("{}", health.overview());
    /// ```
    #[must_use]
    pub fn overview(&self) -> Overview {
        let health = self.inner.recent();
        let mut overview = Overview {
            service: signal::identity().and_then(|identity| identity.service.clone()),
            ready: self.inner.is_ready(),
            health,
            circuits: BTreeMap::new(),
            letters: BTreeMap::new(),
            cpu: None,
            memory: None,
            process_memory: None,
        };
        signal::observe(&mut |metric, value, attributes| overview.take(metric, value, attributes));
        overview
    }
}

impl Overview {
    /// Takes one value of a metric, if it belongs here.
    fn take(&mut self, metric: &Metric, value: f64, attributes: &[(&'static str, &str)]) {
        let of = |key: &str| attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
        if metric == &BREAKER_STATE {
            if let (Some(breaker), Some(state), true) = (of("breaker"), of("state"), value > 0.0)
                && state != "closed"
            {
                self.circuits.insert(breaker.to_owned(), state.to_owned());
            }
        } else if metric == &BREAKER_CIRCUITS {
            if let (Some(breaker), Some(state), true) = (of("breaker"), of("state"), value > 0.0)
                && state != "closed"
            {
                let states = self.circuits.entry(breaker.to_owned()).or_default();
                let comma = if states.is_empty() { "" } else { ", " };
                *states += &format!("{comma}{state} for {value} keys");
            }
        } else if metric == &LETTERS_DEPTH || metric == &LETTERS_SPILL_DEPTH {
            if let (Some(queue), true) = (of("queue"), value > 0.0) {
                *self.letters.entry(queue.to_owned()).or_default() += whole(value);
            }
        } else if metric == &SYSTEM_CPU_UTILIZATION {
            let idle = matches!(of("cpu.mode"), Some("idle" | "iowait"));
            if of("cpu.logical_number").is_none() && !idle {
                *self.cpu.get_or_insert(0.0) += value;
            }
        } else if metric == &SYSTEM_MEMORY_UTILIZATION {
            if of("system.memory.state") == Some("used") {
                self.memory = Some(value);
            }
        } else if metric == &PROCESS_MEMORY_USAGE {
            self.process_memory = Some(whole(value));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counts, which are not negative.
fn whole(value: f64) -> u64 {
    value as u64
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, ready, health, circuits, letters, cpu, memory, process_memory } = self;
        let (service, ready, cpu, memory) = (service.as_deref(), *ready, *cpu, *memory);
        let process_memory = *process_memory;
        write(Parts { service, ready, health, circuits, letters, cpu, memory, process_memory }, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_machine_the_circuits_and_the_letters_are_added_up() {
        let mut overview = Health::standalone().overview();
        overview.circuits.clear();
        overview.letters.clear();
        (overview.cpu, overview.memory, overview.process_memory) = (None, None, None);
        let mut take = |metric, value, attributes: &[(&'static str, &str)]| {
            overview.take(metric, value, attributes);
        };
        for (mode, share) in [("user", 0.25), ("system", 0.125), ("idle", 0.5), ("iowait", 0.125)] {
            take(&SYSTEM_CPU_UTILIZATION, share, &[("cpu.mode", mode)]);
            take(&SYSTEM_CPU_UTILIZATION, 0.75, &[("cpu.mode", mode), ("cpu.logical_number", "0")]);
        }
        for (state, share) in [("free", 0.125), ("used", 0.625), ("cached", 0.25)] {
            take(&SYSTEM_MEMORY_UTILIZATION, share, &[("system.memory.state", state)]);
        }
        take(&PROCESS_MEMORY_USAGE, 125_829_120.0, &[]);
        for (state, circuits) in [("closed", 7.0), ("open", 2.0), ("half_open", 1.0), ("forced_open", 0.0)] {
            take(&BREAKER_CIRCUITS, circuits, &[("breaker", "tenants"), ("state", state)]);
        }
        for (state, holds) in [("closed", 1.0), ("open", 0.0)] {
            take(&BREAKER_STATE, holds, &[("breaker", "mail"), ("state", state)]);
        }
        for (metric, letters) in [(&LETTERS_DEPTH, 3.0), (&LETTERS_SPILL_DEPTH, 4.0)] {
            take(metric, letters, &[("queue", "orders")]);
            take(metric, 0.0, &[("queue", "empty")]);
        }
        assert_eq!((overview.cpu, overview.memory), (Some(0.375), Some(0.625)));
        assert_eq!(
            overview.circuits,
            [("tenants".to_owned(), "open for 2 keys, half_open for 1 keys".to_owned())].into()
        );
        assert_eq!(overview.letters, [("orders".to_owned(), 7)].into());
        let text = overview.to_string();
        let machine = "machine: 38 % of the processors, 62 % of the memory; this process: 120 MiB";
        assert_eq!(text.lines().last(), Some(machine), "{text}");
    }
}
