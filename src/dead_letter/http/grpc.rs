//! The layer for gRPC: the code of an answer decides, wherever it stands.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::kept::{Kept, of_head};
use crate::attempts::{Record, Said, shown};
use crate::clock;
use crate::dead_letter::DeadLetterQueue;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::{Ended, Failure, classified};
use crate::dead_letter::future::{DeadLetterFuture, Examine, Step};
use crate::outcome::BoxingErrors;
use crate::outcome::{ByGrpcStatus, Classify, FailureKind, Outcome, StreamEnd};
use crate::replay::ReplayBody;

impl DeadLetterQueue {
    /// A layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// Like [`http_layer`](DeadLetterQueue::http_layer) but for this:
    /// - **What failed** is decided by [`ByGrpcStatus`]: by the `grpc-status` in the head of a response, or in its
    ///   trailers as long as no message came before them. They wait until the call is parked. Once a message has
    ///   reached the caller, the call is its own.
    /// - **What is kept** are the messages of the call as they went over the wire, up to
    ///   [`Builder::body_cap`](crate::dead_letter::Builder::body_cap), and its metadata. A secret inside of a message
    ///   cannot be found, so messages are stored, and calls redriven, only with
    ///   [`Builder::opaque_bodies(true)`](crate::dead_letter::Builder::opaque_bodies).
    /// - The error type becomes [`tower::BoxError`]: only so can that of a tonic channel be asked for its causes.
    ///
    /// [`DeadLetterQueue::redrive_http`] sends calls again, and takes any code but `OK` for a failure.
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
    pub fn grpc_layer(&self) -> GrpcDeadLetterLayer {
        GrpcDeadLetterLayer { core: Arc::clone(self.core()), classifier: ByGrpcStatus }
    }
}

/// Parks the calls that a gRPC service fails: see [`DeadLetterQueue::grpc_layer`].
#[derive(Clone)]
pub struct GrpcDeadLetterLayer<C = ByGrpcStatus> {
    core: Arc<Core>,
    classifier: C,
}

impl<C> GrpcDeadLetterLayer<C> {
    /// Lets `classifier` decide what failed, in place of [`ByGrpcStatus`]: a
    /// [`Classify`]`<http::response::Parts, BoxError>`.
    pub fn classify<D>(self, classifier: D) -> GrpcDeadLetterLayer<D> {
        GrpcDeadLetterLayer { core: self.core, classifier }
    }
}

impl<S, C: Clone> Layer<S> for GrpcDeadLetterLayer<C> {
    type Service = GrpcDeadLetter<BoxingErrors<S>, C>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcDeadLetter {
            inner: BoxingErrors::new(inner),
            core: Arc::clone(&self.core),
            classifier: self.classifier.clone(),
        }
    }
}

impl<C> fmt::Debug for GrpcDeadLetterLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// A gRPC service whose failed calls are parked.
#[derive(Clone)]
pub struct GrpcDeadLetter<S, C = ByGrpcStatus> {
    inner: S,
    core: Arc<Core>,
    classifier: C,
}

impl<S, C, B, R> Service<Request<B>> for GrpcDeadLetter<S, C>
where
    S: Service<Request<ReplayBody>, Response = Response<R>, Error = BoxError>,
    C: Classify<Parts, BoxError> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: fmt::Display,
{
    type Response = Response<GrpcDeadLetterBody<R, C>>;
    type Error = BoxError;
    type Future = DeadLetterFuture<S::Future, GrpcKept<C>, Result<Self::Response, BoxError>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, kept) = Kept::keep(&self.core, request, &self.classifier);
        let (inner, began) = (&mut self.inner, kept.as_ref().map(Kept::began).unwrap_or_default());
        DeadLetterFuture::begin(kept.map(GrpcKept), began, || inner.call(request))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for GrpcDeadLetter<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetter")
            .field("queue", &self.core.name)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// What is kept of a call.
#[doc(hidden)]
#[derive(Debug)]
pub struct GrpcKept<C>(Kept<C>);

type Answer<R, C> = Result<Response<GrpcDeadLetterBody<R, C>>, BoxError>;

impl<R, C> Examine<Result<Response<R>, BoxError>, Answer<R, C>> for GrpcKept<C>
where
    R: Body,
    R::Error: fmt::Display,
    C: Classify<Parts, BoxError>,
{
    fn pass(result: Result<Response<R>, BoxError>) -> Answer<R, C> {
        let bare = |body| GrpcDeadLetterBody { body: Some(body), watch: None, held: None, parking: None };
        result.map(|response| response.map(bare))
    }

    fn judge(&self, output: Answer<R, C>) -> (Answer<R, C>, Option<Box<Failure>>) {
        match output {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let mut outcome = self.0.classifier.classify(Ok(&head));
                if outcome == Outcome::Success && body.is_end_stream() {
                    outcome = self.0.classifier.classify_end(StreamEnd::Complete(Some(&head.headers)));
                }
                let failure = outcome.failure().map(|kind| Box::new(of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure = classified(&self.0.classifier, &error)
                    .map(|kind| Box::new(Failure::of_error(kind, error.as_ref())));
                (Err(error), failure)
            }
        }
    }

    fn park(mut self, ended: Ended) -> Option<Step> {
        self.0.begin_to_park(ended)
    }

    /// The head tells of no failure; the trailers may.
    fn go_on(mut self, mut output: Answer<R, C>) -> Answer<R, C> {
        match &mut output {
            Ok(response) if !response.body().is_end_stream() => {
                let end = <C as Classify<Parts, BoxError>>::classify_end;
                response.body_mut().watch = Some(Watch { kept: self.0, end });
            }
            _ => self.0.let_go(),
        }
        output
    }
}

/// A call whose end is not known yet.
struct Watch<C> {
    kept: Kept<C>,
    end: fn(&C, StreamEnd<'_>) -> Outcome,
}

impl<C> Watch<C> {
    fn park(mut self, failure: Option<Failure>) -> Option<Step> {
        let Some(failure) = failure else {
            self.kept.let_go();
            return None;
        };
        let took = clock::now().since(self.kept.began());
        self.kept.begin_to_park(Ended { failure, took, record: Record::default() })
    }
}

type Held<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

pin_project! {
    /// The body of a response that passed a [`GrpcDeadLetter`]: the same frames. Trailers that tell of a failure wait
    /// until the call is parked.
    pub struct GrpcDeadLetterBody<B, C>
    where
        B: Body,
    {
        #[pin]
        body: Option<B>,
        watch: Option<Watch<C>>,
        // What comes next once the call is parked.
        held: Option<Held<B>>,
        parking: Option<Step>,
    }
}

impl<B: Body, C> Default for GrpcDeadLetterBody<B, C> {
    /// An empty body: layers further out that answer by themselves want one.
    fn default() -> Self {
        Self { body: None, watch: None, held: None, parking: None }
    }
}

impl<B, C> Body for GrpcDeadLetterBody<B, C>
where
    B: Body,
    B::Error: fmt::Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if this.held.is_none() {
            let Some(body) = this.body.as_pin_mut() else {
                return Poll::Ready(None);
            };
            let frame = ready!(body.poll_frame(cx));
            let Some(watch) = this.watch.take() else {
                return Poll::Ready(frame);
            };
            let judged = |end| (watch.end)(&watch.kept.classifier, end).failure();
            let failure = match &frame {
                // A message, and with it the call is the caller's.
                Some(Ok(frame)) if frame.is_data() => None,
                Some(Ok(frame)) => {
                    let trailers = frame.trailers_ref();
                    let said = trailers.and_then(Said::by_grpc).unwrap_or_else(no_status);
                    judged(StreamEnd::Complete(trailers)).map(|kind| Failure::said(kind, said))
                }
                Some(Err(error)) => Some(Failure::new(FailureKind::Error, "body", &shown(error))),
                None => judged(StreamEnd::Complete(None)).map(|kind| Failure::said(kind, no_status())),
            };
            *this.parking = watch.park(failure);
            *this.held = Some(frame);
        }
        if let Some(parking) = this.parking {
            ready!(parking.0.poll(cx));
            *this.parking = None;
        }
        Poll::Ready(this.held.take().flatten())
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn no_status() -> Said {
    Said::new("UNKNOWN", "the response ended without a status")
}

impl<B: Body, C> fmt::Debug for GrpcDeadLetterBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetterBody").field("watched", &self.watch.is_some()).finish_non_exhaustive()
    }
}
