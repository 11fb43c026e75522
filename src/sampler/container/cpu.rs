//! The processor metrics of the container: its limit, its usage, and how often its quota throttled it.

use std::time::Duration;

use super::group::{CpuTime, Groups, Throttling};
use super::place::{Places, Version};
use crate::base::clock::{self, Tick};
use crate::sampler::counter::{Counter, Rules};
use crate::sampler::cpu_list::count_online;
use crate::sampler::probe::{Sample, count};
use crate::signal::{
    CONTAINER_CPU_LIMIT, CONTAINER_CPU_PERIODS, CONTAINER_CPU_THROTTLED, CONTAINER_CPU_TIME,
    CONTAINER_CPU_USAGE, CONTAINER_CPU_UTILIZATION, Watched,
};

/// The values of earlier readings.
#[derive(Default)]
pub(super) struct Cpu {
    /// For the group at each level: the time of its last reading, and the processor time that was read.
    before: Vec<Option<(Tick, Duration)>>,
    user: Counter,
    system: Counter,
    unthrottled: Counter,
    throttled: Counter,
    throttled_time: Counter,
    /// The level of the group whose throttling was last reported.
    limited: usize,
}

/// The result of a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether anything could be read.
    pub(super) any: bool,
    /// Whether the container has fewer processors than the machine.
    pub(super) is_limited: bool,
}

impl Cpu {
    /// Marks the next reading as that of another group. It is not compared with the last one.
    pub(super) fn replace(&mut self) {
        self.before.clear();
        self.user.replace();
        self.system.replace();
        self.replace_quota();
    }

    fn replace_quota(&mut self) {
        for total in [&mut self.unthrottled, &mut self.throttled, &mut self.throttled_time] {
            total.replace();
        }
    }

    pub(super) fn sample(&mut self, places: &Places, groups: &mut Groups, sample: &mut Sample) -> Found {
        let now = clock::now();
        let (own, mut throttling) = group_stat(places, groups, 0);
        let usage = own.and_then(|own| self.rate(0, now, own.all));

        // A quota may belong to a pod or a slice. Other containers in it use processors too.
        let mut smallest = None;
        let mut limited = 0;
        let mut utilization = None;
        let quotas = places.cpu.as_ref().map_or(&[][..], |place| &place.groups);
        for (level, group) in quotas.iter().enumerate() {
            let version = places.cpu.as_ref().map_or(Version::V2, |place| place.version);
            let Some(quota) = groups.quota(version, group) else { continue };
            let (used, group_throttling) = match level {
                0 => (usage, throttling),
                _ => {
                    let (time, throttling) = group_stat(places, groups, level);
                    (time.and_then(|time| self.rate(level, now, time.all)), throttling)
                }
            };
            if smallest.is_none_or(|smallest| quota < smallest) {
                smallest = Some(quota);
                limited = level;
                throttling = group_throttling;
            }
            utilization = larger(utilization, used.map(|used| used / quota));
        }
        let online = count_online(&mut groups.files).map(count);
        let set = places
            .cpu_set
            .as_ref()
            .and_then(|place| groups.cpu_set(place.version, &place.groups[0]))
            .map(count)
            .filter(|set| online.is_none_or(|online| *set < online));
        let limit = smallest.into_iter().chain(set).min_by(f64::total_cmp);
        let is_limited = limit.is_some_and(|limit| online.is_none_or(|online| limit < online));

        if let Some(own) = own {
            self.time(own, now, sample);
        }
        sample.value(&CONTAINER_CPU_USAGE, usage);
        if let Some(limit) = limit {
            // A quota can exceed the number of processors.
            let limit = online.map_or(limit, |online| online.min(limit));
            sample.value(&CONTAINER_CPU_LIMIT, limit);
            utilization = larger(utilization, usage.map(|usage| usage / limit));
        }
        sample.value(&CONTAINER_CPU_UTILIZATION, utilization);
        if let Some(utilization) = utilization.filter(|_| is_limited) {
            sample.watch_host(Watched::Cpu, None, utilization);
        }
        if let Some(throttling) = throttling.filter(|_| smallest.is_some()) {
            if limited != self.limited {
                self.limited = limited;
                self.replace_quota();
            }
            self.throttling(throttling, now, sample);
        }
        Found { any: own.is_some(), is_limited }
    }

    /// The processors in use since the previous reading.
    fn rate(&mut self, level: usize, now: Tick, time: Duration) -> Option<f64> {
        if self.before.len() <= level {
            self.before.resize(level + 1, None);
        }
        let (then, before) = self.before[level].replace((now, time))?;
        let passed = now.since(then).as_secs_f64();
        (passed > 0.0).then(|| time.saturating_sub(before).as_secs_f64() / passed)
    }

    fn time(&mut self, own: CpuTime, now: Tick, sample: &mut Sample) {
        let next = |counter: &mut Counter, time: Duration| {
            let shown = counter.take(time.as_secs_f64(), now, &Rules::WIDE);
            shown.map(|seconds| (seconds * 1e9).round() / 1e9)
        };
        match own.user.zip(own.system) {
            Some((user, system)) => {
                sample.by(&CONTAINER_CPU_TIME, ("cpu.mode", "user"), next(&mut self.user, user));
                sample.by(&CONTAINER_CPU_TIME, ("cpu.mode", "system"), next(&mut self.system, system));
            }
            // The group does not report modes: one series without a mode takes the whole time.
            None => sample.value(&CONTAINER_CPU_TIME, next(&mut self.user, own.all)),
        }
    }

    fn throttling(&mut self, throttling: Throttling, now: Tick, sample: &mut Sample) {
        let Throttling { periods, throttled, time } = throttling;
        let unthrottled = periods.zip(throttled).map(|(all, throttled)| all.saturating_sub(throttled));
        let next = |counter: &mut Counter, read: Option<f64>| {
            read.and_then(|read| counter.take(read, now, &Rules::WIDE))
        };
        let throttled = next(&mut self.throttled, throttled.map(count));
        sample.by(&CONTAINER_CPU_PERIODS, ("state", "throttled"), throttled);
        let unthrottled = next(&mut self.unthrottled, unthrottled.map(count));
        sample.by(&CONTAINER_CPU_PERIODS, ("state", "unthrottled"), unthrottled);
        let time = next(&mut self.throttled_time, time.map(|time| time.as_secs_f64()));
        sample.value(&CONTAINER_CPU_THROTTLED, time);
    }
}

/// The processor time and throttling of the group at `level`; level 0 is the group of the process.
fn group_stat(places: &Places, groups: &mut Groups, level: usize) -> (Option<CpuTime>, Option<Throttling>) {
    let (cpu, time) = (places.cpu.as_ref(), places.cpu_time.as_ref());
    if let Some(cpu) = cpu.filter(|cpu| cpu.version == Version::V2) {
        return cpu.groups.get(level).map_or((None, None), |group| groups.cpu_stat(group));
    }
    // In version 1, `cpu` and `cpuacct` may be two hierarchies with different groups.
    let alike = level == 0 || cpu.zip(time).is_some_and(|(cpu, time)| cpu.groups.len() == time.groups.len());
    let time = time.filter(|_| alike).and_then(|time| match time.version {
        Version::V1 => groups.cpu_time(time.groups.get(level)?),
        Version::V2 => groups.cpu_stat(time.groups.get(level)?).0,
    });
    (time, cpu.and_then(|cpu| groups.throttling(cpu.groups.get(level)?)))
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).max_by(f64::total_cmp)
}
