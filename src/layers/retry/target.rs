//! The interface of the attempt loop to the service that it calls.

use std::future::Future;
use std::task::{Context, Poll};

use super::attempt::Attempt;
use super::attempt_result::AttemptResult;
use super::policy::Policy;
use crate::base::error::TimedOut;
use crate::layers::attempts::ErrorText;

/// The service that is called, and how its results are read.
pub(super) trait Target {
    /// The state that all calls of one service share.
    type Link;
    type Service: ?Sized;
    type Request;
    type Upload;
    type Call: Future;
    type Output;

    /// Whether [`Target::call`] needs [`Attempt::elapsed`].
    const NEEDS_ELAPSED: bool = false;

    fn policy(link: &Self::Link) -> &Policy;

    /// Copies the request; `None` if it cannot be copied.
    fn copy(request: &Self::Request) -> Option<Self::Request>;

    /// Calls `service`, which is ready.
    fn call(service: &mut Self::Service, request: Self::Request, attempt: Attempt) -> Self::Call;

    /// Returns a service that is ready for another request. If the service fails instead, returns the result of the call.
    #[allow(clippy::type_complexity)] // It is `poll_ready`.
    fn poll_ready(
        &mut self,
        link: &Self::Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<&mut Self::Service, AttemptResult<Self::Output>>>;

    /// Judges the result of an attempt; `kept` is the request to send again.
    fn judge(
        &mut self,
        result: <Self::Call as Future>::Output,
        kept: Option<&Self::Request>,
    ) -> AttemptResult<Self::Output>;

    /// A view of the upload of a request whose caller streams it.
    fn upload(request: &Self::Request) -> Self::Upload;

    /// Whether the service waits for the caller to continue the request.
    fn awaits_caller(upload: &Self::Upload) -> bool;

    /// Called before another attempt: earlier attempts must not read more of the request.
    fn take_over(request: &Self::Request) {
        let _ = request;
    }

    /// The error text of a failed attempt.
    fn error_text(&self, output: &Self::Output) -> ErrorText;

    /// The result of an attempt that a limit ended.
    fn time_out(&mut self, why: TimedOut, kept: Option<&Self::Request>) -> AttemptResult<Self::Output>;
}
