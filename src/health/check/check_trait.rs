//! The trait of checks.

use std::future::Future;

use super::finding::Finding;

/// Tests one component.
///
/// Any function that returns a future is a check, if the future's output converts into a [`Finding`]: `()` and `Ok` pass,
/// `Err` fails with the error as its reason.
///
/// # Example
/// ```
/// use campanile::health::{Every, Health};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// let health = Health::standalone();
/// let every = Every::seconds(30).warn_after(Duration::from_millis(200)).fail_after(Duration::from_secs(1));
/// let check = health.check("db", every, || tokio::time::sleep(Duration::from_millis(300)))?;
///
/// let report = check.run().await;
/// assert_eq!(report.message.as_deref(), Some("took 300.0ms, more than the 200ms of `warn_after`"));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a check",
    label = "this has to be a closure without arguments that returns a future, or a type that implements `Check`",
    note = "the closure and its future have to be `Send`, and the closure `Sync + 'static`: `move || {{ let pool = pool.clone(); async move {{ ping(&pool).await }} }}`",
    note = "the output of the future is `()`, a `Result` whose error becomes a `tower::BoxError`, or a `Finding`"
)]
pub trait Check: Send + Sync + 'static {
    /// Runs the check. It may fail, hang or panic: health ends it at [`Every::timeout`](super::Every::timeout).
    fn check(&self) -> impl Future<Output = Finding> + Send;
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Check for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: Into<Finding>,
{
    async fn check(&self) -> Finding {
        self().await.into()
    }
}
