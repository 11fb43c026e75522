//! Sources of metrics.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::names::Metric;
use crate::base::registry::Registry;

/// Takes one value of a metric with its attributes.
pub(crate) type Emit<'a> = dyn FnMut(&'static Metric, f64, &[(&'static str, &str)]) + 'a;

/// A source of metrics: a breaker, a queue, a sampler.
pub(crate) trait Source: Send + Sync + 'static {
    /// Emits all values. It must not block.
    fn observe(&self, emit: &mut Emit<'_>);

    /// Reports the health of components.
    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let _ = emit;
    }
}

/// A source's report about the health of a component.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sign {
    /// Its circuit.
    Breaker(BreakerSign),
    /// The number of circuits of a keyed breaker that are not closed, or are only closed because of the limit of open
    /// circuits, and the number of all circuits.
    Circuits { broken: u64, all: u64 },
    /// The number of its waiting dead letters, and the age of the oldest.
    Letters { waiting: u64, oldest: Duration },
    /// A value of its machine or device.
    Machine(MachineSign),
}

/// A value of a machine and its level.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MachineSign {
    pub(crate) watched: Watched,
    /// The mount point of a file system. `None` for other values.
    pub(crate) which: Option<Arc<str>>,
    /// The last value.
    pub(crate) value: f64,
    pub(crate) level: Level,
    /// The limit of this level, or that of the warning level if the value is fine.
    pub(crate) limit: f64,
    /// The level ends below this value.
    pub(crate) left_below: f64,
}

/// The kinds of values of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Watched {
    /// Share of the processors in use (of the container, if it has a limit), from 0 to 1.
    Cpu,
    /// Share of the memory in use (of the container, if it has a limit), from 0 to 1.
    Memory,
    /// Share of a file system in use, from 0 to 1.
    Disk,
    /// Load average of five minutes per logical processor.
    Load,
    /// Degrees Celsius.
    Temperature,
    /// 0 when a device works, 1 when it is degraded, 2 when it failed.
    State,
    /// A value of a collector of the program.
    Measurement,
}

/// The level of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Fine,
    Warning,
    Critical,
}

/// The state of a circuit, for health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerSign {
    Closed,
    HalfOpen,
    Open,
    ForcedOpen,
}

static SOURCES: Registry<dyn Source> = Registry::new();

/// Registers `source` until it is dropped.
pub(crate) fn register<S: Source>(source: &Arc<S>) {
    let source: Weak<S> = Arc::downgrade(source);
    SOURCES.add(source);
}

/// Collects the values of all sources.
pub(crate) fn observe(emit: &mut Emit<'_>) {
    for source in SOURCES.living() {
        source.observe(emit);
    }
}

/// Collects the health reports of all sources.
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
    fn a_source_is_read_until_it_is_dropped() {
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
