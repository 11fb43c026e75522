//! The memory of the container: its limit, its usage, and how often it reached its limit.

use super::cpu::Found;
use super::group::{Groups, MEMORY_EVENTS};
use super::place::Place;
use crate::base::clock::{self, Tick};
use crate::sampler::counter::{Counter, Rules};
use crate::sampler::probe::{Sample, count};
use crate::signal::{
    CONTAINER_MEMORY_AVAILABLE, CONTAINER_MEMORY_EVENTS, CONTAINER_MEMORY_LIMIT, CONTAINER_MEMORY_USAGE,
    CONTAINER_MEMORY_UTILIZATION, CONTAINER_MEMORY_WORKING_SET, Watched,
};

/// The counters of memory events from earlier readings.
#[derive(Default)]
pub(super) struct Memory {
    events: [Counter; 4],
    /// The level of the group whose events were read last.
    limited: usize,
}

/// The limits of the groups that were read so far.
#[derive(Default)]
struct Limits {
    smallest: Option<u64>,
    available: Option<u64>,
    utilization: Option<f64>,
}

impl Memory {
    /// Marks that the next reading is of another group.
    pub(super) fn replace(&mut self) {
        self.events.iter_mut().for_each(Counter::replace);
    }

    /// Reads the memory of the groups at `place`. `machine` is the memory of the machine.
    pub(super) fn sample(
        &mut self,
        place: &Place,
        machine: Option<u64>,
        groups: &mut Groups,
        sample: &mut Sample,
    ) -> Found {
        let version = place.version;
        let own = groups.memory(version, &place.groups[0]);
        let mut limits = Limits::default();
        let mut limited = 0;
        for (level, group) in place.groups.iter().enumerate() {
            if level > 0 && !groups.counts_above(version, group) {
                break;
            }
            let Some(limit) = groups.memory_limit(version, group) else { continue };
            // The limit may be that of a pod or a slice, in which other containers use memory too.
            let memory = if level == 0 { own } else { groups.memory(version, group) };
            if limits.add(limit, memory.map(|memory| memory.working_set)) {
                limited = level;
            }
        }
        if let Some(own) = own {
            if let Some(limit) =
                own.hierarchical_limit.filter(|limit| limits.smallest.is_none_or(|most| *limit < most))
            {
                // The limit of a group that is not visible. What others use of it is not known.
                limits.add(limit, Some(own.working_set));
                limited = 0;
            }
            sample.value(&CONTAINER_MEMORY_USAGE, count(own.usage));
            sample.value(&CONTAINER_MEMORY_WORKING_SET, count(own.working_set));
        }
        sample.value(&CONTAINER_MEMORY_LIMIT, limits.smallest.map(count));
        sample.value(&CONTAINER_MEMORY_AVAILABLE, limits.available.map(count));
        sample.value(&CONTAINER_MEMORY_UTILIZATION, limits.utilization);
        let is_limited = limits.smallest.is_some_and(|limit| machine.is_none_or(|machine| limit < machine));
        if let Some(utilization) = limits.utilization.filter(|_| is_limited) {
            sample.watch_host(Watched::Memory, None, utilization);
        }
        self.events(place, limited, clock::now(), groups, sample);
        Found { any: own.is_some(), is_limited }
    }

    /// Emits the events. Limits are counted in the group that has the limit, killed processes in their own group.
    fn events(&mut self, place: &Place, limited: usize, now: Tick, groups: &mut Groups, sample: &mut Sample) {
        if limited != self.limited {
            self.limited = limited;
            self.events[..3].iter_mut().for_each(Counter::replace);
        }
        let own = groups.memory_events(place.version, &place.groups[0]);
        let [high, max, oom, _] = match limited {
            0 => own,
            above => groups.memory_events(place.version, &place.groups[above]),
        };
        let read = [high, max, oom, own[3]];
        for ((event, total), read) in MEMORY_EVENTS.into_iter().zip(&mut self.events).zip(read) {
            let read = read.and_then(|read| total.take(count(read), now, &Rules::WIDE));
            sample.by(&CONTAINER_MEMORY_EVENTS, ("event", event.trim_end()), read);
        }
    }
}

impl Limits {
    /// Adds a limit. Returns whether it is the smallest so far.
    fn add(&mut self, limit: u64, working_set: Option<u64>) -> bool {
        if let Some(working_set) = working_set {
            let available = limit.saturating_sub(working_set);
            self.available = self.available.into_iter().chain([available]).min();
            if limit > 0 {
                let utilization = count(working_set) / count(limit);
                self.utilization = Some(self.utilization.map_or(utilization, |most| most.max(utilization)));
            }
        }
        let smallest = self.smallest.is_none_or(|smallest| limit < smallest);
        if smallest {
            self.smallest = Some(limit);
        }
        smallest
    }
}
