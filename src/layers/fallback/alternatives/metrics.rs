//! The metrics of alternatives.

use super::handle::Inner;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{self, Emit, Source};

impl<C: Send + Sync + 'static> Source for Inner<C> {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let name = ("fallback", &*self.name);
        let current = self.current.load(Ordering::Acquire);
        for (place, entry) in self.entries.iter().enumerate() {
            let of = ("alternative", &*entry.name);
            let is_active = if place == current { 1.0 } else { 0.0 };
            emit(&signal::FALLBACK_ACTIVE, is_active, &[name, of]);
            let failures = float(&entry.failures);
            let counts = [
                ("success", float(&entry.calls) - failures),
                ("failed", failures),
                ("no_connection", float(&entry.connect_failures)),
            ];
            for (result, count) in counts {
                emit(&signal::FALLBACK_ALTERNATIVE_CALLS, count, &[name, of, ("result", result)]);
            }
        }
        emit(&signal::FALLBACK_CHANGES, float(&self.changes), &[name]);
        emit(&signal::FALLBACK_EXHAUSTED, float(&self.exhausted), &[name]);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::layers::fallback::Alternatives;

    #[tokio::test]
    async fn metrics_tell_which_alternative_is_in_use() {
        let refuse = || async { Err::<u32, _>(io::Error::from(io::ErrorKind::ConnectionRefused)) };
        let db = Alternatives::builder("a db for the metrics")
            .add("primary", refuse)
            .add("replica", || async { Ok::<_, io::Error>(7) })
            .build()
            .unwrap();
        db.call(|n| async move { Ok::<_, io::Error>(n) }).await.unwrap();
        let mut seen = Vec::new();
        signal::observe(&mut |metric, value, attributes| {
            if attributes.first() == Some(&("fallback", "a db for the metrics")) && value > 0.0 {
                let words: Vec<_> = attributes[1..].iter().map(|(_, value)| *value).collect();
                seen.push((metric.name, words.join(" "), value));
            }
            assert!(attributes.iter().all(|(key, _)| metric.attributes.contains(key)));
        });
        let calls = signal::FALLBACK_ALTERNATIVE_CALLS.name;
        let expected = [
            (calls, "primary no_connection", 1.0),
            (signal::FALLBACK_ACTIVE.name, "replica", 1.0),
            (calls, "replica success", 1.0),
            (signal::FALLBACK_CHANGES.name, "", 1.0),
        ];
        assert_eq!(seen, expected.map(|(name, words, value)| (name, words.to_owned(), value)));
    }
}
