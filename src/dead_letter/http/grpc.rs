//! The layer for gRPC services. The status in the head or the trailers of a response decides.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::response::Parts;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::job::{HttpJob, failure_of_head};
use crate::base::bounds::{HttpService, RequestBody, ResponseBody};
use crate::base::clock;
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByGrpcStatus, Classify, Outcome};
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::{FailedCall, Failure};
use crate::dead_letter::park::{DeadLetterFuture, Job, Parking};
use crate::dead_letter::queue::DeadLetterQueue;
use crate::layers::attempts::{ErrorText, Record};
use crate::layers::replay::ReplayBody;

impl DeadLetterQueue {
    /// Returns a layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// It is like [`http_layer`](DeadLetterQueue::http_layer), with two differences:
    /// - **What failed** is decided by [`ByGrpcStatus`]: by the `grpc-status` in the head of a response, or in the trailers
    ///   if no message came before them. The trailers wait until the call is parked. Once a message has reached the caller,
    ///   the call is the caller's concern.
    /// - **What is stored** are the metadata of the call and its messages as they went over the wire, up to
    ///   [`body_cap`](crate::dead_letter::DeadLetterQueueBuilder::body_cap). Messages cannot be searched for secrets. So
    ///   messages are stored, and calls redriven, only with
    ///   [`opaque_bodies(true)`](crate::dead_letter::DeadLetterQueueBuilder::opaque_bodies). Without it, a letter has no
    ///   body, and a warning is logged for the first such letter and each time their number doubles.
    ///
    /// [`DeadLetterQueue::redrive_http`] sends calls again. It counts every status but `OK` as a failure.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::retry::ReplayBody;
    /// use tonic::transport::Channel;
    /// use tonic_health::pb::health_client::HealthClient;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let queue = DeadLetterQueue::builder("calls").opaque_bodies(true).build().expect("fine settings");
    /// let channel = ServiceBuilder::new()
    ///     .layer(queue.grpc_layer())
    ///     .map_request(|request: http::Request<ReplayBody>| request.map(tonic::body::Body::new))
    ///     .service(Channel::from_static("http://[::1]:50051").connect_lazy());
    /// let client = HealthClient::new(channel);
    /// # let _ = client;
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> GrpcDeadLetterLayer<ByGrpcStatus, K> {
        GrpcDeadLetterLayer { core: Arc::clone(self.core()), classifier: ByCause::new(ByGrpcStatus) }
    }
}

/// Parks the calls that fail in a gRPC service: see [`DeadLetterQueue::grpc_layer`].
///
/// The compiler infers `K`: see [`Cause`](crate::base::error::Cause).
pub struct GrpcDeadLetterLayer<C = ByGrpcStatus, K = ByError> {
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcDeadLetterLayer<C; K> { core, classifier } }

impl<C, K> GrpcDeadLetterLayer<C, K> {
    /// Sets what decides whether a call failed, instead of [`ByGrpcStatus`]: a [`Classify`]`<http::response::Parts>`.
    pub fn classify<D>(self, classifier: D) -> GrpcDeadLetterLayer<D, K> {
        GrpcDeadLetterLayer { core: self.core, classifier: self.classifier.with(classifier) }
    }
}

impl<S, C: Clone, K> Layer<S> for GrpcDeadLetterLayer<C, K> {
    type Service = GrpcDeadLetter<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcDeadLetter { inner, core: Arc::clone(&self.core), classifier: self.classifier.clone() }
    }
}

impl<C, K> fmt::Debug for GrpcDeadLetterLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// A gRPC service whose failed calls are parked: see [`DeadLetterQueue::grpc_layer`].
pub struct GrpcDeadLetter<
    S,                // a `Service<http::Request<ReplayBody>, Response = http::Response<_>>`
    C = ByGrpcStatus, // a `Classify<http::response::Parts>`
    K = ByError,      // the error of `S` is a `Cause<K>`
> {
    inner: S,
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcDeadLetter<S, C; K> { inner, core, classifier } }

#[cfg(feature = "grpc")]
named! { GrpcDeadLetter<S, C, K> }

impl<S, C, K, B, R> Service<Request<B>> for GrpcDeadLetter<S, C, K>
where
    S: HttpService<ReplayBody, ResBody = R>,
    S::Err: Cause<K>,
    C: Classify<Parts> + Clone,
    B: RequestBody,
    R: ResponseBody,
{
    type Response = Response<GrpcDeadLetterBody<R, C, K>>;
    type Error = S::Error;
    type Future = DeadLetterFuture<S::Future, GrpcJob<C, K>, Result<Self::Response, S::Error>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, job) = HttpJob::new(&self.core, request, &self.classifier);
        let (inner, began) = (&mut self.inner, job.as_ref().map(HttpJob::began).unwrap_or_default());
        DeadLetterFuture::begin(job.map(GrpcJob), began, || inner.call(request))
    }
}

impl<S: fmt::Debug, C, K> fmt::Debug for GrpcDeadLetter<S, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetter")
            .field("queue", &self.core.name)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// Holds a call while it is in progress, for its letter.
#[doc(hidden)]
#[derive(Debug)]
pub struct GrpcJob<C, K>(HttpJob<ByCause<C, K>>);

type Answer<R, C, K, E> = Result<Response<GrpcDeadLetterBody<R, C, K>>, E>;

impl<R, C, K, E> Job<Result<Response<R>, E>, Answer<R, C, K, E>> for GrpcJob<C, K>
where
    R: Body,
    R::Error: Into<BoxError>,
    E: Cause<K>,
    C: Classify<Parts>,
{
    fn convert(result: Result<Response<R>, E>) -> Answer<R, C, K, E> {
        let unwatched = |body| GrpcDeadLetterBody { body: Some(body), ..GrpcDeadLetterBody::default() };
        result.map(|response| response.map(unwatched))
    }

    fn judge(&self, output: Answer<R, C, K, E>) -> (Answer<R, C, K, E>, Option<Box<Failure>>) {
        match output {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let classifier: &dyn Classify<Parts, E> = &self.0.classifier;
                let mut outcome = classifier.classify(Ok(&head));
                if outcome == Outcome::Success && body.is_end_stream() {
                    outcome = classifier.classify_end(Some(&head.headers));
                }
                let failure = outcome.failure().map(|kind| Box::new(failure_of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure = self.0.failure_of(&error);
                (Err(error), failure)
            }
        }
    }

    fn park(mut self, call: FailedCall) -> Option<Parking> {
        self.0.start_parking(call)
    }

    /// The head shows no failure, but the trailers may.
    fn release(mut self, mut output: Answer<R, C, K, E>) -> Answer<R, C, K, E> {
        match &mut output {
            Ok(response) if !response.body().is_end_stream() => {
                let classify_end = <ByCause<C, K> as Classify<Parts, E>>::classify_end;
                response.body_mut().watch = Some(Watch { job: self.0, classify_end });
            }
            _ => self.0.discard(),
        }
        output
    }

    fn awaits_caller(&self) -> bool {
        self.0.awaits_upload()
    }
}

/// A call whose outcome is still unknown.
struct Watch<C, K> {
    job: HttpJob<ByCause<C, K>>,
    classify_end: fn(&ByCause<C, K>, Option<&HeaderMap>) -> Outcome,
}

impl<C, K> Watch<C, K> {
    /// The failure of a call that ended with `trailers`, or without any.
    fn failure(&self, trailers: Option<&HeaderMap>) -> Option<Failure> {
        let kind = (self.classify_end)(&self.job.classifier, trailers).failure()?;
        Some(Failure::said(kind, trailers.and_then(ErrorText::of_grpc).unwrap_or_else(no_status)))
    }

    fn park(mut self, failure: Option<Failure>) -> Option<Parking> {
        let Some(failure) = failure else {
            self.job.discard();
            return None;
        };
        let took = clock::now().since(self.job.began());
        self.job.start_parking(FailedCall { failure, took, record: Record::default() })
    }
}

/// The end of a response. It waits until the call is parked.
enum End {
    Trailers(HeaderMap),
    Error(BoxError),
    /// There were no trailers.
    Missing,
}

pin_project! {
    /// The body of a response that passed a [`GrpcDeadLetter`]. Its frames are unchanged. Trailers with a failure wait
    /// until the call is parked.
    pub struct GrpcDeadLetterBody<B, C, K = ByError> {
        #[pin]
        body: Option<B>,
        watch: Option<Watch<C, K>>,
        // The end that waits for `parking`.
        end: Option<End>,
        parking: Option<Parking>,
    }
}

impl<B, C, K> Default for GrpcDeadLetterBody<B, C, K> {
    /// An empty body, for layers outside of this one that answer themselves.
    fn default() -> Self {
        Self { body: None, watch: None, end: None, parking: None }
    }
}

impl<B, C, K> Body for GrpcDeadLetterBody<B, C, K>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if this.end.is_none() {
            let Some(body) = this.body.as_pin_mut() else {
                return Poll::Ready(None);
            };
            let frame = ready!(body.poll_frame(cx)).map(|frame| frame.map_err(Into::into));
            let Some(watch) = this.watch.take() else {
                return Poll::Ready(frame);
            };
            let (end, failure) = match frame {
                Some(Ok(frame)) => match frame.into_trailers() {
                    Ok(trailers) => {
                        let failure = watch.failure(Some(&trailers));
                        (End::Trailers(trailers), failure)
                    }
                    // Once a message has reached the caller, the call is the caller's concern.
                    Err(message) => {
                        watch.park(None);
                        return Poll::Ready(Some(Ok(message)));
                    }
                },
                Some(Err(error)) => {
                    let failure = Failure::of_body(error.as_ref());
                    (End::Error(error), Some(failure))
                }
                None => (End::Missing, watch.failure(None)),
            };
            *this.parking = watch.park(failure);
            *this.end = Some(end);
        }
        if let Some(parking) = this.parking {
            ready!(parking.poll(cx));
            *this.parking = None;
        }
        Poll::Ready(match this.end.take() {
            Some(End::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(End::Error(error)) => Some(Err(error)),
            Some(End::Missing) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn no_status() -> ErrorText {
    ErrorText::new("UNKNOWN", "the response ended without a status")
}

impl<B, C, K> fmt::Debug for GrpcDeadLetterBody<B, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetterBody").field("watched", &self.watch.is_some()).finish_non_exhaustive()
    }
}
