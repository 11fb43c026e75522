//! Calls through a circuit for code that is not a service.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use super::handle::CircuitBreaker;
use super::permit::Permit;
use super::wait::{WaitMode, poll_admit};
use crate::base::bounds::Work;
use crate::base::error::{CallError, Cause, Rejected};
use crate::base::outcome::{ByCause, ByResult, Classify, Guarded};
use crate::signal::Place;

impl CircuitBreaker {
    /// Runs `work` if the circuit admits it, for code that is not a service.
    ///
    /// Every error counts as a failure; its causes determine the kind of failure. For error types that are not
    /// [`Cause`] see [`CircuitBreaker::call_with`]. Every `Ok` counts as a success: for a value with a status, such as
    /// `http::Response`, the first call logs a warning.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit refused the call, [`CallError::Inner`] if the work failed.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = campanile::CircuitBreaker::builder("db").build()?;
    /// let answer = breaker.call(async { Ok::<_, std::io::Error>(42) }).await;
    /// assert_eq!(answer.ok(), Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<T, E, F, K>(&self, work: F) -> Result<T, CallError<E>>
    where
        F: Work<T, E>,
        E: Cause<K>,
    {
        self.circuit.see::<T>(Place::Method { name: "call", with: "call_with" });
        self.call_with(ByCause::new(ByResult), work).await
    }

    /// [`CircuitBreaker::call`] with a classifier that decides what failed.
    ///
    /// # Errors
    /// As [`CircuitBreaker::call`].
    pub async fn call_with<T, E, F>(
        &self,
        classifier: impl Classify<T, E>,
        work: F,
    ) -> Result<T, CallError<E>>
    where
        F: Work<T, E>,
    {
        let permit = self.permit().await.map_err(CallError::Rejected)?;
        let mut call = pin!(Guarded::new(work, permit));
        let result = call.as_mut().await;
        call.settle(classifier.classify(result.as_ref()));
        result.map_err(CallError::Inner)
    }

    /// Takes a permit for a call that starts now. Waits if [`BreakerSettings::half_open_queue`] allows it.
    async fn permit(&self) -> Result<Permit, Rejected> {
        let circuit = &self.circuit;
        loop {
            let admission = match circuit.machine.pass() {
                Some(admission) => admission,
                None => {
                    let mut wait = None;
                    poll_fn(|cx| poll_admit(circuit, WaitMode::HalfOpenQueue, &mut wait, cx))
                        .await
                        .map_err(|refusal| *circuit.refuse(refusal))?
                }
            };
            if let Some(permit) = Permit::reserve(Arc::clone(circuit), admission).start() {
                return Ok(permit);
            }
        }
    }
}
