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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sign {
    /// Its circuit.
    Breaker(BreakerSign),
    /// Its circuits, when it has one for each key: those that are not closed, or would not be if they were alone.
    Circuits { broken: u64, all: u64 },
    /// Its dead letters: how many wait, and for how long the oldest has.
    Letters { waiting: u64, oldest: Duration },
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
