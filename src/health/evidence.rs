//! The evidence about one component before it is judged.

use std::sync::Arc;
use std::time::Duration;

use super::check_report::CheckReport;
use super::outlook::Outlook;
use super::status::Status;
use crate::signal::{BreakerSign, MachineSign, Sign, VitalReading};

/// The evidence about one component.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) vital: Option<VitalReading>,
    /// Circuits of that name by state.
    pub(super) open: u32,
    pub(super) forced_open: u32,
    pub(super) half_open: u32,
    /// Circuits of keyed breakers of that name: those that are open, and all.
    pub(super) broken: u64,
    pub(super) keyed: u64,
    /// How many letters wait, and the age of the oldest.
    pub(super) letters: Option<(u64, Duration)>,
    /// Figures of the machine or the device of that name.
    pub(super) machine: Vec<MachineSign>,
    pub(super) checks: Vec<Arc<CheckReport>>,
    pub(super) outlook: Option<Arc<Outlook>>,
    /// The last status.
    pub(super) last_status: Option<Status>,
}

impl Evidence {
    pub(super) fn add(&mut self, sign: Sign) {
        match sign {
            Sign::Breaker(BreakerSign::Closed) => {}
            Sign::Breaker(BreakerSign::HalfOpen) => self.half_open += 1,
            Sign::Breaker(BreakerSign::Open) => self.open += 1,
            Sign::Breaker(BreakerSign::ForcedOpen) => self.forced_open += 1,
            Sign::Circuits { broken, all } => {
                self.broken += broken;
                self.keyed += all;
            }
            Sign::Letters { waiting, oldest } => {
                let (sum, age) = self.letters.get_or_insert_default();
                *sum += waiting;
                *age = (*age).max(oldest);
            }
            Sign::Machine(sign) => self.machine.push(sign),
        }
    }
}
