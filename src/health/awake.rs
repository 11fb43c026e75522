//! Time limits that count only the time in which this process ran.
//!
//! After a process was stopped or suspended, or its runtime was blocked by other code, every timer is due at once, although
//! the awaited work had no chance to complete. So a limit is divided into short steps, and a step that ends late counts
//! only with its length.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use crate::base::clock;

/// The length of a step.
const STEP: Duration = Duration::from_millis(200);

/// Timers of a busy machine are late by less than this.
pub(super) const LATE: Duration = Duration::from_millis(100);

/// The result of waiting.
pub(super) struct Waited<T> {
    /// The output of the work; `None` if it did not end within the limit.
    pub(super) ended: Option<T>,
    /// The time meanwhile in which this process did not run.
    pub(super) stood: Duration,
}

/// Waits for `work` for at most `limit`, without the time in which this process did not run.
pub(super) async fn within<F: Future>(limit: Duration, work: F) -> Waited<F::Output> {
    let mut work = pin!(work);
    let (mut left, mut stood) = (limit, Duration::ZERO);
    loop {
        let (began, step) = (clock::now(), left.min(STEP));
        let ended = timeout(step, work.as_mut()).await.ok();
        let took = clock::now().since(began);
        let late = Some(took.saturating_sub(step)).filter(|late| *late > LATE).unwrap_or_default();
        stood += late;
        left = left.saturating_sub(took - late);
        if ended.is_some() || left.is_zero() {
            return Waited { ended, stood };
        }
    }
}

/// How long the machine was suspended, if the wall clock advanced by `on` and the monotonic clock by `ran`: on Linux the
/// monotonic clock stops during a suspend.
pub(super) fn suspended(on: Duration, ran: Duration) -> Duration {
    /// Adjustments of the wall clock are usually smaller.
    const AHEAD: Duration = Duration::from_secs(1);

    Some(on.saturating_sub(ran)).filter(|ahead| *ahead > AHEAD).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep};

    #[tokio::test(start_paused = true)]
    async fn only_the_time_in_which_this_process_ran_counts() {
        let seconds = Duration::from_secs;
        let begin = |work: u64| tokio::spawn(within(seconds(5), sleep(seconds(work))));
        let (hangs, ends) = (begin(3_600), begin(20));
        sleep(seconds(1)).await;
        advance(seconds(18)).await;
        sleep(seconds(2)).await;
        assert!(ends.is_finished() && !hangs.is_finished());
        sleep(seconds(2)).await;
        let (hung, ended) = (hangs.await.unwrap(), ends.await.unwrap());
        assert!(hung.ended.is_none() && ended.ended.is_some());
        for waited in [hung, ended] {
            assert!(waited.stood > seconds(17) && waited.stood <= seconds(18), "{:?}", waited.stood);
        }
        assert_eq!(within(seconds(5), sleep(seconds(4))).await.stood, Duration::ZERO);
    }

    #[test]
    fn a_wall_clock_that_is_adjusted_a_little_or_set_back_is_no_suspend() {
        let millis = Duration::from_millis;
        for (on, ran, expected) in
            [(5_000, 5_000, 0), (5_900, 5_000, 0), (0, 5_000, 0), (65_000, 5_000, 60_000)]
        {
            assert_eq!(suspended(millis(on), millis(ran)), millis(expected));
        }
    }
}
