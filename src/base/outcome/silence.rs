//! Silence of a stream while its reader waits.

use std::time::Duration;

use crate::base::clock::{self, Tick};

/// A silence for which the reader waits this long is not a stall. Some streams are silent by nature, such as a gRPC `Watch`
/// of a value that seldom changes.
const BY_NATURE: Duration = Duration::from_secs(600);

/// The silence of a stream while its reader waits for the next frame.
///
/// Only time in which the reader polls counts: from a pending poll to the next ready one.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    /// The first pending poll since the last frame; 0 while the reader does not wait.
    since: Tick,
    /// The longest silence before a frame so far.
    longest: Duration,
    /// Silence is never a stall.
    by_nature: bool,
}

impl Silence {
    pub(crate) fn new(by_nature: bool) -> Self {
        Self { by_nature, ..Self::default() }
    }

    /// A poll was pending.
    #[inline]
    pub(crate) fn on_pending(&mut self) {
        if self.since == Tick::default() {
            self.since = clock::now();
        }
    }

    /// A frame arrived.
    #[inline]
    pub(crate) fn ready(&mut self) {
        if self.since != Tick::default() {
            self.longest = self.longest.max(clock::now().since(self.since));
            self.since = Tick::default();
        }
    }

    /// Whether the stream has stalled: its silence is longer than `limit` and longer than all earlier silences.
    pub(crate) fn is_stall(&self, limit: Duration) -> bool {
        if self.by_nature || self.since == Tick::default() {
            return false;
        }
        let silent = clock::now().since(self.since);
        silent > limit && silent > self.longest && (silent < BY_NATURE || limit >= BY_NATURE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn p07_a_stream_stalls_when_its_reader_waits_longer_than_the_limit() {
        let mut silence = Silence::default();
        advance(LIMIT * 10).await;
        assert!(!silence.is_stall(LIMIT), "its reader does not wait");
        silence.on_pending();
        advance(LIMIT).await;
        silence.on_pending();
        assert!(!silence.is_stall(LIMIT));
        advance(Duration::from_nanos(1)).await;
        assert!(silence.is_stall(LIMIT), "the silence begins with the first pending poll");
        silence.ready();
        advance(LIMIT * 10).await;
        assert!(!silence.is_stall(LIMIT), "time in which the reader does not poll does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn p07_a_stream_that_has_paused_before_may_pause_again() {
        let mut silence = Silence::default();
        silence.on_pending();
        advance(LIMIT * 15).await;
        silence.ready();
        silence.on_pending();
        advance(LIMIT * 15).await;
        assert!(!silence.is_stall(LIMIT));
        advance(Duration::from_nanos(1)).await;
        assert!(silence.is_stall(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn p07_a_very_long_silence_is_not_a_stall() {
        let mut silence = Silence::default();
        silence.on_pending();
        advance(BY_NATURE - Duration::from_nanos(1)).await;
        assert!(silence.is_stall(LIMIT));
        advance(Duration::from_nanos(1)).await;
        assert!(!silence.is_stall(LIMIT));
        assert!(!silence.is_stall(BY_NATURE));
        advance(Duration::from_nanos(1)).await;
        assert!(silence.is_stall(BY_NATURE), "a longer limit is respected");
        let mut events = Silence::new(true);
        events.on_pending();
        advance(LIMIT * 10).await;
        assert!(!events.is_stall(LIMIT));
    }
}
