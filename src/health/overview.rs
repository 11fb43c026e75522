//! What matters about this process at one moment, for people: on a console, in a report, on a page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::handle::Health;
use super::overview_text::{Parts, write};
use super::snapshot::HealthSnapshot;
use crate::signal::{
    self, BREAKER_CIRCUITS, BREAKER_STATE, LETTERS_DEPTH, LETTERS_SPILL_DEPTH, PROCESS_MEMORY_USAGE,
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
        signal::observe(&mut |metric, value, attributes| {
            let of = |key: &str| attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
            if metric == &BREAKER_STATE {
                if let (Some(breaker), Some(state), true) = (of("breaker"), of("state"), value > 0.0)
                    && state != "closed"
                {
                    overview.circuits.insert(breaker.to_owned(), state.to_owned());
                }
            } else if metric == &BREAKER_CIRCUITS {
                if let (Some(breaker), Some(state), true) = (of("breaker"), of("state"), value > 0.0)
                    && state != "closed"
                {
                    let states = overview.circuits.entry(breaker.to_owned()).or_default();
                    let comma = if states.is_empty() { "" } else { ", " };
                    *states += &format!("{comma}{state} for {value} keys");
                }
            } else if metric == &LETTERS_DEPTH || metric == &LETTERS_SPILL_DEPTH {
                if let (Some(queue), true) = (of("queue"), value > 0.0) {
                    *overview.letters.entry(queue.to_owned()).or_default() += whole(value);
                }
            } else if metric == &SYSTEM_CPU_UTILIZATION {
                let idle = matches!(of("cpu.mode"), Some("idle" | "iowait"));
                if of("cpu.logical_number").is_none() && !idle {
                    *overview.cpu.get_or_insert(0.0) += value;
                }
            } else if metric == &SYSTEM_MEMORY_UTILIZATION {
                if of("system.memory.state") == Some("used") {
                    overview.memory = Some(value);
                }
            } else if metric == &PROCESS_MEMORY_USAGE {
                overview.process_memory = Some(whole(value));
            }
        });
        overview
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
