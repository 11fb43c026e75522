//! A check that calls a tower service.

use std::fmt;
use std::future::poll_fn;

use tower::{BoxError, Service};

use super::check_trait::Check;
use super::finding::Finding;
use super::text::error_chain;
use crate::base::outcome::Classify;

/// Calls a service and classifies the result, as the layers do.
///
/// The service is any that can be cloned: a client with its layers, a connection, a router of this process. Each run calls
/// a clone as soon as it is ready; waiting for that is part of the run. The layers count the call like any other: an open
/// circuit rejects it, and its failures may open the circuit.
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
    /// Calls `service` with the request that `request` returns, and classifies the result with `classifier`:
    /// [`ByResult`](crate::base::outcome::ByResult), or a function of the result with its error as a [`BoxError`].
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
            (Some(_), Err(error)) => Finding::Fail(error_chain(&*error)),
            (Some(kind), Ok(_)) => {
                Finding::Fail(format!("the response was classified as a failure: {}", kind.as_str()))
            }
        }
    }
}

impl<S, R, C> fmt::Debug for ServiceCheck<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCheck").finish_non_exhaustive()
    }
}
