//! Processor time from `/proc/stat`.

use std::time::Duration;

use crate::base::clock::Tick;
use crate::sampler::counter::{Counter, Rules};
use crate::sampler::cpu_list::MOST_CORES;
use crate::sampler::files::{numbers, value};
use crate::sampler::probe::{Labels, Sample, count};
use crate::sampler::snapshot::CpuSnapshot;
use crate::signal::{SYSTEM_CPU_COUNT, SYSTEM_CPU_TIME, SYSTEM_CPU_UTILIZATION, SYSTEM_PROCESSES_CREATED};

/// Processor time is counted in hundredths of a second. Over a shorter time than this, a share is noise.
const SHORTEST: Duration = Duration::from_millis(200);

const MODES: usize = 7;
const MODE_LABELS: [Labels; MODES] = [
    Labels::One("cpu.mode", "user"),
    Labels::One("cpu.mode", "nice"),
    Labels::One("cpu.mode", "system"),
    Labels::One("cpu.mode", "idle"),
    Labels::One("cpu.mode", "iowait"),
    Labels::One("cpu.mode", "interrupt"),
    Labels::One("cpu.mode", "steal"),
];

/// Ticks in each mode.
type Ticks = [u64; MODES];

/// All processors together, and each one.
#[derive(Debug, Default)]
pub(super) struct Processors {
    whole: Processor,
    /// By number. A processor that is offline stays, so that its counters do not fall when it comes back.
    cores: Vec<Core>,
    by_core: bool,
    /// When the shares were computed.
    at: Option<Tick>,
    /// The number of logical processors that are online.
    pub(super) online: usize,
    created: Counter,
    /// The reported value of `created`.
    shown: Option<f64>,
}

#[derive(Debug, Default)]
struct Processor {
    counters: [Counter; MODES],
    /// The reported values of the counters, if they were read.
    ticks: Option<[f64; MODES]>,
    before: Option<[f64; MODES]>,
    shares: Option<[f64; MODES]>,
}

#[derive(Debug, Default)]
struct Core {
    processor: Processor,
    online: bool,
    labels: Option<[Labels; MODES]>,
}

impl Processors {
    pub(super) fn new(by_core: bool) -> Self {
        Self { by_core, ..Self::default() }
    }

    /// Reads `/proc/stat`. Returns whether it contains a processor. Malformed lines are left out. If the line of all
    /// processors is missing, the lines of the single processors are added up.
    pub(super) fn read(&mut self, stat: &str, now: Tick) -> bool {
        let renew = self.at.is_none_or(|at| now.since(at) >= SHORTEST);
        if renew {
            self.at = Some(now);
        }
        self.cores.iter_mut().for_each(|core| core.online = false);
        let (mut whole, mut sum) = (None, [0_u64; MODES]);
        self.online = 0;
        for (name, line) in stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split_once(' ')) {
            let Some(ticks) = ticks(line) else { continue };
            if name.is_empty() {
                whole = whole.or(Some(ticks));
            } else if let Some(number) = name.parse().ok().filter(|number| *number < MOST_CORES) {
                sum.iter_mut().zip(ticks).for_each(|(sum, ticks)| *sum = sum.saturating_add(ticks));
                self.online += 1;
                self.take_core(number, ticks, now, renew);
            }
        }
        let whole = whole.or_else(|| (self.online > 0).then_some(sum));
        match whole {
            Some(ticks) => self.whole.take(ticks, self.online, now, renew),
            None => self.whole.leave_out(),
        }
        for core in self.cores.iter_mut().filter(|core| !core.online) {
            core.processor.leave_out();
        }
        self.shown = value(stat, "processes ")
            .and_then(|created| self.created.take(count(created), now, &Rules::NARROW));
        whole.is_some()
    }

    fn take_core(&mut self, number: u64, ticks: Ticks, now: Tick, renew: bool) {
        let Some(place) = usize::try_from(number).ok().filter(|_| self.by_core) else { return };
        if self.cores.len() <= place {
            self.cores.resize_with(place + 1, Core::default);
        }
        let core = &mut self.cores[place];
        core.online = true;
        core.processor.take(ticks, 1, now, renew);
        core.labels.get_or_insert_with(|| {
            let number = number.to_string();
            MODE_LABELS.map(|mode| {
                mode.with(|mode| {
                    Labels::new([("cpu.logical_number", &*number)].into_iter().chain(mode.iter().copied()))
                })
            })
        });
    }

    /// The shares of all processors; `None` before the second reading.
    pub(super) fn shares(&self) -> Option<CpuSnapshot> {
        let [user, nice, system, idle, iowait, interrupt, steal] = self.whole.shares?;
        Some(CpuSnapshot { user, nice, system, idle, iowait, interrupt, steal })
    }

    pub(super) fn emit(&self, sample: &mut Sample) {
        if self.by_core {
            for core in self.cores.iter().filter(|core| core.online) {
                if let Some(labels) = &core.labels {
                    core.processor.emit(sample, labels);
                }
            }
        } else {
            self.whole.emit(sample, &MODE_LABELS);
        }
        sample.value(&SYSTEM_PROCESSES_CREATED, self.shown);
    }
}

impl Processor {
    fn take(&mut self, ticks: Ticks, processors: usize, now: Tick, renew: bool) {
        // Time passes once per processor. Twice that tolerates how unevenly the kernel counts.
        let second = procfs::ticks_per_second().max(1).saturating_mul(processors.max(1) as u64);
        let rules = Rules::WIDE.at_most(2.0 * count(second));
        let mut shown = [0.0; MODES];
        for ((shown, counter), ticks) in shown.iter_mut().zip(&mut self.counters).zip(ticks) {
            *shown = counter.take(count(ticks), now, &rules).unwrap_or_default();
        }
        self.ticks = Some(shown);
        if !renew {
            return;
        }
        let Some(before) = self.before.replace(shown) else { return };
        let mut shares = [0.0; MODES];
        for ((share, now), before) in shares.iter_mut().zip(shown).zip(before) {
            *share = now - before;
        }
        let all: f64 = shares.iter().sum();
        self.shares = (all > 0.0).then(|| shares.map(|share| share / all));
    }

    /// Forgets the last reading, because this one is missing: there is no share over the gap.
    fn leave_out(&mut self) {
        (self.ticks, self.before, self.shares) = (None, None, None);
    }

    fn emit(&self, sample: &mut Sample, labels: &[Labels; MODES]) {
        let second = count(procfs::ticks_per_second().max(1));
        for (ticks, labels) in self.ticks.iter().flatten().zip(labels) {
            sample.with(&SYSTEM_CPU_TIME, *ticks / second, labels);
        }
        for (share, labels) in self.shares.iter().flatten().zip(labels) {
            sample.with(&SYSTEM_CPU_UTILIZATION, *share, labels);
        }
    }
}

/// Emits the number of processors, if it is known.
pub(super) fn emit_count(processors: usize, sample: &mut Sample) {
    sample.value(&SYSTEM_CPU_COUNT, (processors > 0).then(|| count(processors as u64)));
}

/// The ticks of a line, of which the first four are required. Fields that old kernels do not have are zero. The time of
/// guests is part of `user` and `nice`, and is not added.
fn ticks(line: &str) -> Option<Ticks> {
    let [user, nice, system, idle, more @ ..] = numbers::<8>(line);
    let fields = line.split_ascii_whitespace().count();
    let mut place = 4;
    let [iowait, irq, softirq, steal] = more.map(|ticks| {
        place += 1;
        ticks.or((fields < place).then_some(0))
    });
    Some([user?, nice?, system?, idle?, iowait?, irq?.saturating_add(softirq?), steal?])
}

#[cfg(test)]
mod tests {
    use super::super::recorded::readings;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Tick {
        Tick(0) + SECOND * u32::try_from(seconds).unwrap()
    }

    fn take(processors: &mut Processors, stat: &str, now: Tick) -> bool {
        processors.read(stat, now)
    }

    fn emitted(processors: &Processors) -> Vec<(String, f64)> {
        let mut sample = Sample::default();
        processors.emit(&mut sample);
        readings(&sample)
    }

    fn one(processors: &Processors, name: &str) -> Option<f64> {
        super::super::recorded::one(&emitted(processors), name)
    }

    #[test]
    fn p41_guests_are_part_of_user_and_interrupts_are_one_mode() {
        let mut processors = Processors::default();
        assert!(take(
            &mut processors,
            "cpu  100 20 30 400 50 6 7 8 90 9\ncpu0 100 20 30 400 50 6 7 8 90 9\nprocesses 77\n",
            at(0)
        ));
        assert_eq!(one(&processors, "system.cpu.time user"), Some(1.0));
        assert_eq!(one(&processors, "system.cpu.time interrupt"), Some(0.13));
        assert_eq!(one(&processors, SYSTEM_PROCESSES_CREATED.name), Some(77.0));
        assert!(processors.shares().is_none(), "one reading is not enough for a share");
        let all: f64 =
            emitted(&processors).iter().filter(|(name, _)| name.contains("time")).map(|(_, v)| v).sum();
        assert!((all - 6.21).abs() < 1e-9, "{all}");
    }

    #[test]
    fn p41_shares_are_of_the_time_since_the_last_reading_and_add_up() {
        let mut processors = Processors::default();
        take(&mut processors, "cpu  100 0 0 100 0 0 0 0\ncpu0 100 0 0 100 0 0 0 0\n", at(0));
        take(&mut processors, "cpu  160 0 20 110 10 0 0 0\ncpu0 160 0 20 110 10 0 0 0\n", at(1));
        let shares = processors.shares().unwrap();
        assert_eq!((shares.user, shares.system, shares.idle, shares.iowait), (0.6, 0.2, 0.1, 0.1));
        // After so short a time, the shares stay.
        take(
            &mut processors,
            "cpu  160 0 20 111 10 0 0 0\ncpu0 160 0 20 111 10 0 0 0\n",
            at(1) + SECOND / 10,
        );
        assert_eq!(processors.shares(), Some(shares));
        assert_eq!(one(&processors, "system.cpu.time idle"), Some(1.11));
        // No ticks have passed.
        take(&mut processors, "cpu  160 0 20 111 10 0 0 0\ncpu0 160 0 20 111 10 0 0 0\n", at(5));
        take(&mut processors, "cpu  160 0 20 111 10 0 0 0\ncpu0 160 0 20 111 10 0 0 0\n", at(6));
        assert_eq!(processors.shares(), None);
    }

    #[test]
    fn p41_a_counter_that_goes_backwards_makes_no_share_negative_and_does_not_fall() {
        let mut processors = Processors::default();
        take(&mut processors, "cpu  1000 0 0 1000 500 0 0 0\ncpu0 1 0 0 1 1\n", at(0));
        take(&mut processors, "cpu  1100 0 0 1100 490 0 0 0\ncpu0 1 0 0 1 1\n", at(1));
        let shares = processors.shares().unwrap();
        assert_eq!((shares.user, shares.idle, shares.iowait), (0.5, 0.5, 0.0));
        assert_eq!(one(&processors, "system.cpu.time iowait"), Some(5.0));
        // The counters restarted, as when a container moves to another host.
        take(&mut processors, "cpu  10 0 0 10 5 0 0 0\ncpu0 1 0 0 1 1\n", at(2));
        assert_eq!(one(&processors, "system.cpu.time user"), Some(11.0));
        assert_eq!(processors.shares(), None, "the share of that second is not known");
        take(&mut processors, "cpu  20 0 0 40 5 0 0 0\ncpu0 1 0 0 1 1\n", at(3));
        assert_eq!(processors.shares().unwrap().user, 0.25);
        assert_eq!(one(&processors, "system.cpu.time user"), Some(11.1));
        // Steal that underflows after a migration.
        take(&mut processors, "cpu  30 0 0 70 5 0 0 18446744073709551615\ncpu0 1 0 0 1 1\n", at(4));
        assert_eq!(processors.shares().unwrap().steal, 0.0);
    }

    #[test]
    fn p41_128_cores_are_reported_one_by_one_or_together() {
        let mut stat = String::from("cpu  12800 0 0 12800 0 0 0 0\n");
        (0..128).for_each(|core| stat.push_str(&format!("cpu{core} 100 0 0 100 0 0 0 0\n")));
        stat.push_str(&format!("intr 5{}\n", " 0".repeat(20_000)));
        let mut together = Processors::default();
        assert!(take(&mut together, &stat, at(0)));
        assert_eq!(together.online, 128);
        assert_eq!(emitted(&together).len(), 7);
        let mut each = Processors::new(true);
        take(&mut each, &stat, at(0));
        assert_eq!(emitted(&each).len(), 128 * 7);
        assert_eq!(one(&each, "system.cpu.time 127 user"), Some(1.0));
        assert_eq!(one(&each, "system.cpu.time user"), None);
    }

    #[test]
    fn p41_a_core_that_goes_offline_has_no_series_and_comes_back_without_a_jump() {
        let mut processors = Processors::new(true);
        let both = "cpu  3000 0 0 3000\ncpu0 1000 0 0 1000\ncpu1 2000 0 0 2000\n";
        take(&mut processors, both, at(0));
        take(&mut processors, "cpu  3100 0 0 3100\ncpu0 1050 0 0 1050\ncpu1 2050 0 0 2050\n", at(1));
        assert_eq!(one(&processors, "system.cpu.utilization 1 user"), Some(0.5));
        take(&mut processors, "cpu  3100 0 0 3100\ncpu0 1100 0 0 1100\n", at(2));
        assert_eq!(processors.online, 1);
        assert!(!emitted(&processors).iter().any(|(name, _)| name.contains(" 1 ")));
        // Its idle time fell a little while it was offline.
        take(&mut processors, "cpu  3100 0 0 3100\ncpu0 1200 0 0 1200\ncpu1 2050 0 0 2000\n", at(3));
        assert_eq!(one(&processors, "system.cpu.time 1 idle"), Some(20.5));
        assert_eq!(one(&processors, "system.cpu.utilization 1 user"), None);
        take(&mut processors, "cpu  3100 0 0 3100\ncpu0 1300 0 0 1300\ncpu1 2150 0 0 2050\n", at(4));
        assert_eq!(one(&processors, "system.cpu.utilization 1 user"), Some(1.0));
    }

    #[test]
    fn p40_a_malformed_line_does_not_affect_the_others() {
        for bad in ["", "cpu", "cpu \n", "cpu  1 2 x 4\ncpu0 1 2 3 -4", "cpu0 1 2 3\n", "cpu0 1 2 3 4 x\n"] {
            assert!(!take(&mut Processors::default(), bad, at(0)), "{bad}");
        }
        let time = |stat: &str| {
            let mut processors = Processors::default();
            take(&mut processors, stat, at(0));
            (processors.online, one(&processors, "system.cpu.time idle"))
        };
        assert_eq!(time("cpu  1 2 3 400\ncpu0 1 2 3\nprocesses x\n"), (0, Some(4.0)));
        // The sum of the processors replaces the line of all.
        assert_eq!(time("cpu  1 2 x 9\ncpu0 1 2 3 100\ncpu1 1 2 3 200\ncpu2 1 2"), (2, Some(3.0)));
        let mut processors = Processors::new(true);
        let stat =
            "cpu  1 2 3 4\ncpu99999999999 1 2 3 4\ncpu65536 1 2 3 4\ncpux 1 2 3 4\n\u{fffd}\nprocesses 7\n";
        take(&mut processors, stat, at(0));
        assert_eq!(processors.online, 0);
        assert!(processors.cores.is_empty());
        assert_eq!(one(&processors, SYSTEM_PROCESSES_CREATED.name), Some(7.0));
    }
}
