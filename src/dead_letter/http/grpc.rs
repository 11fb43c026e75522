//! The layer for gRPC: the code of an answer decides, wherever it stands.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::kept::{Kept, of_head};
use crate::base::clock;
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByGrpcStatus, Classify, Outcome};
use crate::dead_letter::DeadLetterQueue;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::{Ended, Failure};
use crate::dead_letter::future::{Awaits, DeadLetterFuture, Examine, Step};
use crate::layers::attempts::{ErrorText, Record};
use crate::layers::replay::ReplayBody;

impl DeadLetterQueue {
    /// A layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// Like [`http_layer`](DeadLetterQueue::http_layer) but for this:
    /// - **What failed** is decided by [`ByGrpcStatus`]: by the `grpc-status` in the head of a response, or in its
    ///   trailers as long as no message came before them. They wait until the call is parked. Once a message has
    ///   reached the caller, the call is its own.
    /// - **What is kept** are the messages of the call as they went over the wire, up to
    ///   [`DeadLetterQueueBuilder::body_cap`](crate::dead_letter::DeadLetterQueueBuilder::body_cap), and its metadata. A secret inside of a message
    ///   cannot be found, so messages are stored, and calls redriven, only with
    ///   [`DeadLetterQueueBuilder::opaque_bodies(true)`](crate::dead_letter::DeadLetterQueueBuilder::opaque_bodies). Without it a letter tells everything
    ///   else, and a warning in the log says so at the first one and each time their number doubles.
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
    pub fn grpc_layer<K>(&self) -> GrpcDeadLetterLayer<ByGrpcStatus, K> {
        GrpcDeadLetterLayer { core: Arc::clone(self.core()), classifier: ByCause::new(ByGrpcStatus) }
    }
}

/// Parks the calls that a gRPC service fails: see [`DeadLetterQueue::grpc_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct GrpcDeadLetterLayer<C = ByGrpcStatus, K = ByError> {
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcDeadLetterLayer<C; K> { core, classifier } }

impl<C, K> GrpcDeadLetterLayer<C, K> {
    /// Lets `classifier` decide what failed, in place of [`ByGrpcStatus`]: a
    /// [`Classify`]`<http::response::Parts>`.
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

/// A gRPC service whose failed calls are parked.
pub struct GrpcDeadLetter<S, C = ByGrpcStatus, K = ByError> {
    inner: S,
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcDeadLetter<S, C; K> { inner, core, classifier } }

impl<S, C, K, B, R> Service<Request<B>> for GrpcDeadLetter<S, C, K>
where
    S: Service<Request<ReplayBody>, Response = Response<R>>,
    S::Error: Cause<K>,
    C: Classify<Parts> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<GrpcDeadLetterBody<R, C, K>>;
    type Error = S::Error;
    type Future = DeadLetterFuture<S::Future, GrpcKept<C, K>, Result<Self::Response, S::Error>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, kept) = Kept::keep(&self.core, request, &self.classifier);
        let (inner, began) = (&mut self.inner, kept.as_ref().map(Kept::began).unwrap_or_default());
        DeadLetterFuture::begin(kept.map(GrpcKept), began, || inner.call(request))
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

/// What is kept of a call.
#[doc(hidden)]
#[derive(Debug)]
pub struct GrpcKept<C, K>(Kept<ByCause<C, K>>);

impl<C, K> Awaits for GrpcKept<C, K> {
    fn awaits_caller(&self) -> bool {
        self.0.awaits_caller()
    }
}

type Answer<R, C, K, E> = Result<Response<GrpcDeadLetterBody<R, C, K>>, E>;

impl<R, C, K, E> Examine<Result<Response<R>, E>, Answer<R, C, K, E>> for GrpcKept<C, K>
where
    R: Body,
    R::Error: Into<BoxError>,
    E: Cause<K>,
    C: Classify<Parts>,
{
    fn pass(result: Result<Response<R>, E>) -> Answer<R, C, K, E> {
        let bare = |body| GrpcDeadLetterBody { body: Some(body), watch: None, held: None, parking: None };
        result.map(|response| response.map(bare))
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
                let failure = outcome.failure().map(|kind| Box::new(of_head(kind, &head)));
                (Ok(Response::from_parts(head, body)), failure)
            }
            Err(error) => {
                let failure = self.0.of_error(&error);
                (Err(error), failure)
            }
        }
    }

    fn park(mut self, ended: Ended) -> Option<Step> {
        self.0.begin_to_park(ended)
    }

    /// The head tells of no failure; the trailers may.
    fn go_on(mut self, mut output: Answer<R, C, K, E>) -> Answer<R, C, K, E> {
        match &mut output {
            Ok(response) if !response.body().is_end_stream() => {
                let end = <ByCause<C, K> as Classify<Parts, E>>::classify_end;
                response.body_mut().watch = Some(Watch { kept: self.0, end });
            }
            _ => self.0.let_go(),
        }
        output
    }
}

/// A call whose end is not known yet.
struct Watch<C, K> {
    kept: Kept<ByCause<C, K>>,
    end: fn(&ByCause<C, K>, Option<&HeaderMap>) -> Outcome,
}

impl<C, K> Watch<C, K> {
    fn park(mut self, failure: Option<Failure>) -> Option<Step> {
        let Some(failure) = failure else {
            self.kept.let_go();
            return None;
        };
        let took = clock::now().since(self.kept.began());
        self.kept.begin_to_park(Ended { failure, took, record: Record::default() })
    }
}

type Held<B> = Option<Result<Frame<<B as Body>::Data>, BoxError>>;

pin_project! {
    /// The body of a response that passed a [`GrpcDeadLetter`]: the same frames. Trailers that tell of a failure wait
    /// until the call is parked.
    pub struct GrpcDeadLetterBody<B, C, K = ByError>
    where
        B: Body,
    {
        #[pin]
        body: Option<B>,
        watch: Option<Watch<C, K>>,
        // What comes next once the call is parked.
        held: Option<Held<B>>,
        parking: Option<Step>,
    }
}

impl<B: Body, C, K> Default for GrpcDeadLetterBody<B, C, K> {
    /// An empty body: layers further out that answer by themselves want one.
    fn default() -> Self {
        Self { body: None, watch: None, held: None, parking: None }
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
        if this.held.is_none() {
            let Some(body) = this.body.as_pin_mut() else {
                return Poll::Ready(None);
            };
            let frame = ready!(body.poll_frame(cx)).map(|frame| frame.map_err(Into::into));
            let Some(watch) = this.watch.take() else {
                return Poll::Ready(frame);
            };
            let judged =
                |trailers: Option<&HeaderMap>| (watch.end)(&watch.kept.classifier, trailers).failure();
            let failure = match &frame {
                // A message, and with it the call is the caller's.
                Some(Ok(frame)) if frame.is_data() => None,
                Some(Ok(frame)) => {
                    let trailers = frame.trailers_ref();
                    let said = trailers.and_then(ErrorText::of_grpc).unwrap_or_else(no_status);
                    judged(trailers).map(|kind| Failure::said(kind, said))
                }
                Some(Err(error)) => Some(Failure::of_body(error.as_ref())),
                None => judged(None).map(|kind| Failure::said(kind, no_status())),
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

fn no_status() -> ErrorText {
    ErrorText::new("UNKNOWN", "the response ended without a status")
}

impl<B: Body, C, K> fmt::Debug for GrpcDeadLetterBody<B, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDeadLetterBody").field("watched", &self.watch.is_some()).finish_non_exhaustive()
    }
}
