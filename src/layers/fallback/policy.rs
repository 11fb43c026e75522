//! The state that all calls of one handle share.

use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use super::error::FallbackFailed;
use super::kinds::{CallEnd, FallbackKind};
use super::settings::FallbackSettings;
use crate::base::clock::{self, Tick};
use crate::base::error::Cause;
use crate::base::outcome::{FailureKind, line};
use crate::base::panics::Panic;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{self, Emit, Source};

/// The longest text of a fallback's failure, in bytes.
pub(super) const LONGEST_TEXT: usize = 1_024;

/// The settings of one handle, and its counters.
#[derive(Debug)]
pub struct Policy {
    pub(super) name: Arc<str>,
    pub(super) settings: FallbackSettings,
    pub(super) counters: Counters,
    answers_logged: Throttle,
    failures_logged: Throttle,
}

impl Policy {
    pub(super) fn new(name: Arc<str>, settings: FallbackSettings) -> Self {
        Self {
            name,
            settings,
            counters: Counters::default(),
            answers_logged: Throttle::default(),
            failures_logged: Throttle::default(),
        }
    }

    /// Reports that a fallback answered a call whose first try failed in this way.
    #[cold]
    pub(super) fn report_answer(&self, kind: FallbackKind, first: FailureKind) {
        tracing::Span::current().record("campanile.fallback", kind.as_str());
        if self.answers_logged.is_due() {
            let answered = self.counters.calls(kind, CallEnd::Answered) + 1;
            tracing::warn!(
                target: "campanile::fallback",
                fallback = &*self.name,
                kind = kind.as_str(),
                first = first.as_str(),
                answered,
                "calls fail and the fallback answers them; logged once a minute at most"
            );
        }
    }

    /// Reports that a fallback failed too.
    #[cold]
    pub(super) fn report_failure(&self, kind: FallbackKind, failed: &FallbackFailed) {
        if self.failures_logged.is_due() {
            let failures = self.counters.calls(kind, CallEnd::Failed) + 1;
            tracing::warn!(
                target: "campanile::fallback",
                fallback = &*self.name,
                kind = kind.as_str(),
                error = failed.text(),
                failures,
                "the fallback failed too, so the caller gets the first error; logged once a minute at most"
            );
        }
    }

    pub(super) fn failed_with<K>(&self, error: &impl Cause<K>) -> FallbackFailed {
        FallbackFailed::new(&self.name, error.ask(|error| line(error, LONGEST_TEXT)))
    }

    pub(super) fn panicked(&self, panic: &Panic) -> FallbackFailed {
        let text = match panic.message() {
            Some(message) => format!("it panicked: {}", crate::base::outcome::shown(message, LONGEST_TEXT)),
            None => "it panicked".to_owned(),
        };
        FallbackFailed::new(&self.name, text)
    }
}

impl Source for Policy {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: u64| count as f64;
        let name = ("fallback", &*self.name);
        for kind in FallbackKind::ALL {
            // A handle has few kinds, often one.
            if CallEnd::ALL.into_iter().all(|end| self.counters.calls(kind, end) == 0) {
                continue;
            }
            for end in CallEnd::ALL {
                let attributes = [name, ("kind", kind.as_str()), ("result", end.as_str())];
                emit(&signal::FALLBACK_CALLS, float(self.counters.calls(kind, end)), &attributes);
            }
        }
        let snapshot = self.counters.snapshot();
        emit(&signal::FALLBACK_KEPT, float(snapshot.kept), &[name]);
        emit(&signal::FALLBACK_KEPT_SIZE, float(snapshot.kept_bytes), &[name]);
        emit(&signal::FALLBACK_EVICTED, float(snapshot.evicted), &[name]);
        for (why, count) in snapshot.not_kept {
            emit(&signal::FALLBACK_NOT_KEPT, float(count), &[name, ("reason", why.as_str())]);
        }
    }
}

/// Limits a log line to one a minute.
#[derive(Debug, Default)]
struct Throttle(AtomicU64);

impl Throttle {
    const PERIOD: Duration = Duration::from_secs(60);

    fn is_due(&self) -> bool {
        let (last, now) = (self.0.load(Ordering::Relaxed), clock::now());
        (last == 0 || now.since(Tick(last)) >= Self::PERIOD)
            && self.0.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// What leads to the policy of a call.
pub trait Owner {
    /// The policy.
    fn policy(&self) -> &Policy;
}

impl Owner for &Policy {
    fn policy(&self) -> &Policy {
        self
    }
}

/// Counts one call. If it is dropped before the end of the call, the call was cancelled.
#[derive(Debug)]
pub(super) struct Tally<O: Owner> {
    pub(super) owner: O,
    kind: FallbackKind,
    ended: bool,
}

impl<O: Owner> Tally<O> {
    #[inline]
    pub(super) fn new(owner: O, kind: FallbackKind) -> Self {
        Self { owner, kind, ended: false }
    }

    #[inline]
    pub(super) fn end(&mut self, end: CallEnd) {
        self.ended = true;
        self.owner.policy().counters.call(self.kind, end);
    }

    /// The fallback answered a call whose first try failed in this way.
    #[cold]
    pub(super) fn answered(&mut self, first: FailureKind) {
        self.owner.policy().report_answer(self.kind, first);
        self.end(CallEnd::Answered);
    }

    /// The fallback failed too.
    #[cold]
    pub(super) fn failed(&mut self, failed: &FallbackFailed) {
        self.owner.policy().report_failure(self.kind, failed);
        self.end(CallEnd::Failed);
    }
}

impl<O: Owner> Drop for Tally<O> {
    #[inline]
    fn drop(&mut self) {
        if !self.ended {
            self.end(CallEnd::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Fallback;
    use crate::layers::fallback::{last_good, value};
    use crate::signal;
    use tower::{BoxError, Layer, ServiceExt, service_fn};

    #[tokio::test]
    async fn metrics_have_the_counts() {
        let fallback = Fallback::new("for the metrics");
        let inner =
            service_fn(|n: u32| async move { if n == 0 { Err(BoxError::from("broken")) } else { Ok(n) } });
        let valued = fallback.layer(value(7)).layer(inner);
        valued.clone().oneshot(0).await.unwrap();
        valued.oneshot(1).await.unwrap();
        let remembering = fallback.layer(last_good(|n: &u32| *n)).layer(inner);
        remembering.clone().oneshot(5).await.unwrap();
        remembering.clone().oneshot(0).await.unwrap_err();
        fallback.call_or(async { Err::<u32, _>("a") }, |_| async { Err::<u32, _>("b") }).await.unwrap_err();
        let mut seen = Vec::new();
        signal::observe(&mut |metric, value, attributes| {
            if attributes.first() == Some(&("fallback", "for the metrics")) && value > 0.0 {
                let words: Vec<_> = attributes[1..].iter().map(|(_, value)| *value).collect();
                seen.push((metric.name, words.join(" "), value));
            }
            assert!(attributes.iter().all(|(key, _)| metric.attributes.contains(key)));
        });
        let calls = signal::FALLBACK_CALLS.name;
        let expected = [
            (calls, "function failed", 1.0),
            (calls, "value success", 1.0),
            (calls, "value answered", 1.0),
            (calls, "last_good success", 1.0),
            (calls, "last_good missing", 1.0),
            (signal::FALLBACK_KEPT.name, "", 1.0),
            // Its four bytes, and what an entry takes.
            (signal::FALLBACK_KEPT_SIZE.name, "", 132.0),
        ];
        assert_eq!(seen, expected.map(|(name, words, value)| (name, words.to_owned(), value)));
    }
}
