//! Timing of code that is not a service.

use std::future::Future;

use super::handle::Timing;
use super::stopwatch::Stopwatch;
use crate::base::error::Cause;
use crate::base::outcome::{ByCause, ByResult, Judged};

impl Timing {
    /// Times `work`, for code that is not a service. Every error counts as a failure; its causes determine the kind of
    /// failure. The time begins with the call of this method, and a future that is dropped before its end was cancelled.
    ///
    /// # Errors
    /// The error of `work`.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let timing = campanile::Timing::new("db");
    /// let rows = timing.call(async { Ok::<_, std::io::Error>(3) }).await;
    /// assert_eq!((rows.ok(), timing.snapshot().calls), (Some(3), 1));
    /// # }
    /// ```
    pub fn call<T, E, K>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: Cause<K>,
    {
        Judged::new(work, ByCause::new(ByResult), Stopwatch::start(&self.meter))
    }
}
