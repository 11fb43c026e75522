//! The layers around gRPC clients.

use std::fmt;
use std::task::{Context, Poll};

use http::Request;
use tower::Service;

use super::handle::Dependency;
use crate::base::bounds::RequestBody;
use crate::base::error::ByError;
use crate::edge::stack::GrpcStack;
use crate::layers::replay::ReplayBody;

impl Dependency {
    /// Puts all layers around a channel of tonic. The clients that tonic generates take the result in place of a channel.
    ///
    /// The code of a call decides what failed: see [`Retry::grpc_layer`](crate::Retry::grpc_layer) for what is sent again. A
    /// letter has the messages of its call only with `opaque_bodies = true` in the settings of the queue, and only then can
    /// it be sent again: see [`DeadLetterQueue::grpc_layer`](crate::DeadLetterQueue::grpc_layer).
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    /// use tonic::transport::Channel;
    /// use tonic_health::pb::health_client::HealthClient;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let ledger = campanile.dependency("ledger").build().await?;
    /// let channel = Channel::from_static("http://127.0.0.1:50051").connect_lazy();
    /// let client = HealthClient::new(ledger.grpc_client(channel));
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_client<S: Clone, K>(&self, channel: S) -> DependencyChannel<S, K> {
        DependencyChannel { stack: self.layers().around_grpc(channel), body_cap: self.body_cap() }
    }
}

/// A channel of tonic with the layers of a [`Dependency`]: see [`Dependency::grpc_client`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub struct DependencyChannel<
    S,           // a `Service<http::Request<tonic::body::Body>, Response = http::Response<_>> + Clone`
    K = ByError, // the error of `S` is a `Cause<K>`
> {
    stack: GrpcStack<S, K>,
    body_cap: usize,
}

impl<S: Clone, K> Clone for DependencyChannel<S, K> {
    fn clone(&self) -> Self {
        Self { stack: self.stack.clone(), body_cap: self.body_cap }
    }
}

impl<S, K> fmt::Debug for DependencyChannel<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyChannel").finish_non_exhaustive()
    }
}

impl<S, K, B> Service<Request<B>> for DependencyChannel<S, K>
where
    GrpcStack<S, K>: Service<Request<ReplayBody>>,
    B: RequestBody,
{
    type Response = <GrpcStack<S, K> as Service<Request<ReplayBody>>>::Response;
    type Error = <GrpcStack<S, K> as Service<Request<ReplayBody>>>::Error;
    type Future = <GrpcStack<S, K> as Service<Request<ReplayBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.stack.call(request.map(|body| ReplayBody::new(body, self.body_cap)))
    }
}
