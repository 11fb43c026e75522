//! Who can be asked for numbers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::names::Metric;
use crate::roll::Roll;

/// Takes one value of a metric, with the attributes it stands under.
pub(crate) type Emit<'a> = dyn FnMut(&'static Metric, f64, &[(&'static str, &str)]) + 'a;

/// Something that keeps numbers: a breaker, a queue, a sampler.
pub(crate) trait Source: Send + Sync + 'static {
    /// Tells every value it keeps. Must not block: someone is collecting.
    fn observe(&self, emit: &mut Emit<'_>);

    /// Tells what its numbers mean for the health of a component.
    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let _ = emit;
    }
}

/// What a source says about the health of a component.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sign {
    /// Its circuit.
    Breaker(BreakerSign),
    /// Its circuits, when it has one for each key: those that are not closed, or would not be if they were alone.
    Circuits { broken: u64, all: u64 },
    /// Its dead letters: how many wait, and for how long the oldest has.
    Letters { waiting: u64, oldest: Duration },
    /// A figure of its machine or device.
    Machine(MachineSign),
}

/// Where a figure of a machine stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MachineSign {
    pub(crate) watched: Watched,
    /// Which of several: a mount point. `None` where there is one only.
    pub(crate) which: Option<Arc<str>>,
    /// What was read last.
    pub(crate) value: f64,
    pub(crate) level: Level,
    /// The limit of that level, and of the next one when it is fine.
    pub(crate) limit: f64,
    /// Below this the limit counts as left.
    pub(crate) left_below: f64,
}

/// What a figure of a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Watched {
    /// Share of the processors in use: of those of the container where it has a limit, in 0..=1.
    Cpu,
    /// Share of the memory in use: of that of the container where it has a limit, in 0..=1.
    Memory,
    /// Share of a file system in use, in 0..=1.
    Disk,
    /// Load average of five minutes for each logical processor.
    Load,
    /// Degrees Celsius.
    Temperature,
    /// 0 when a device works, 1 when it is degraded, 2 when it failed.
    State,
}

/// How bad that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Fine,
    Warning,
    Critical,
}

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerSign {
    Closed,
    HalfOpen,
    Open,
    ForcedOpen,
}

static SOURCES: Roll<dyn Source> = Roll::new();

/// Makes `source` known for as long as it lives.
pub(crate) fn register<S: Source>(source: &Arc<S>) {
    let source: Weak<S> = Arc::downgrade(source);
    SOURCES.add(source);
}

/// Asks every source for its values.
pub(crate) fn observe(emit: &mut Emit<'_>) {
    for source in SOURCES.living() {
        source.observe(emit);
    }
}

/// Asks every source what its values mean for health.
pub(crate) fn signs(emit: &mut dyn FnMut(&str, Sign)) {
    for source in SOURCES.living() {
        source.signs(emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SYSTEM_UPTIME;

    struct Fixed(f64);

    impl Source for Fixed {
        fn observe(&self, emit: &mut Emit<'_>) {
            emit(&SYSTEM_UPTIME, self.0, &[("k", "v")]);
        }
    }

    #[test]
    fn a_source_is_asked_for_as_long_as_it_lives() {
        let source = Arc::new(Fixed(0.123_456));
        register(&source);
        let seen = || {
            let mut seen = 0;
            observe(&mut |metric, value, attributes| {
                if metric == &SYSTEM_UPTIME && value == 0.123_456 && attributes == [("k", "v")] {
                    seen += 1;
                }
            });
            seen
        };
        assert_eq!(seen(), 1);
        drop(source);
        assert_eq!(seen(), 0);
    }
}
