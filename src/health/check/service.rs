//! A check that calls a tower service.

use std::fmt;
use std::future::poll_fn;

use tower::{BoxError, Service};

use super::words::causes;
use super::{Check, Finding};
use crate::base::outcome::Classify;

/// Calls a service and judges what comes back, as the layers do.
///
/// Any service that can be cloned will do: a client with its layers, a connection, a router of one's own process. What
/// goes through the layers counts there, too: a circuit that is open answers the check, and what the check sees may
/// open it. Each run calls a clone, once it is ready; waiting for that is part of the run.
///
/// # Example
/// ```
/// use campanile::health::{CheckOutcome, Every, Health, ServiceCheck};
/// use campanile::outcome::ByResult;
/// use tower::{BoxError, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// let orders = service_fn(|order: u32| async move {
///     if order == 0 { Err(BoxError::from("no such order")) } else { Ok(order) }
/// });
/// let health = Health::standalone();
/// let check = health.check("orders", Every::seconds(30), ServiceCheck::new(orders, || 0, ByResult))?;
///
/// let report = check.run().await;
/// assert_eq!(report.outcome, CheckOutcome::Fail);
/// assert_eq!(report.message.as_deref(), Some("no such order"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct ServiceCheck<S, R, C> {
    service: S,
    request: R,
    classifier: C,
}

impl<S, R, C> ServiceCheck<S, R, C> {
    /// Calls `service` with what `request` makes, and asks `classifier` what came of it:
    /// [`ByResult`](crate::base::outcome::ByResult), or a function of the result with its error in a box.
    pub fn new<Req>(service: S, request: R, classifier: C) -> Self
    where
        S: Service<Req>,
        S::Error: Into<BoxError>,
        R: Fn() -> Req,
        C: Classify<S::Response, BoxError>,
    {
        Self { service, request, classifier }
    }
}

impl<S, R, C, Req> Check for ServiceCheck<S, R, C>
where
    S: Service<Req> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    R: Fn() -> Req + Send + Sync + 'static,
    C: Classify<S::Response, BoxError> + Send + Sync + 'static,
{
    async fn check(&self) -> Finding {
        let mut service = self.service.clone();
        let result: Result<_, BoxError> = match poll_fn(|cx| service.poll_ready(cx)).await {
            Ok(()) => service.call((self.request)()).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        match (self.classifier.classify(result.as_ref()).failure(), result) {
            (None, _) => Finding::Pass,
            (Some(_), Err(error)) => Finding::Fail(causes(&*error)),
            (Some(kind), Ok(_)) => Finding::Fail(format!("it answered, with a failure: {}", kind.as_str())),
        }
    }
}

impl<S, R, C> fmt::Debug for ServiceCheck<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCheck").finish_non_exhaustive()
    }
}
