//! The probes over gRPC: `grpc.health.v1`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as Protocol, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::board::{Board, Posted};
use crate::health::handle::Health;

/// The most bytes of a question: names that are longer belong to no component, and each stream keeps its own.
const LONGEST: usize = 4_096;

/// Streams that watch at once. Anybody may ask for one.
const STREAMS: usize = 4_096;

/// Answers `grpc.health.v1.Health`; made by [`Health::grpc_service`].
#[derive(Clone, Debug)]
pub struct GrpcHealth {
    health: Health,
    board: Arc<Board>,
    /// One for each stream, and this one.
    seats: Arc<()>,
}

impl Health {
    /// The probes over gRPC: the health checking protocol, `grpc.health.v1`, as a service that tonic takes as it is.
    ///
    /// | service asked for | answer |
    /// |---|---|
    /// | the empty name | `SERVING` while the process is [ready](Self::readiness) |
    /// | a component | `SERVING` unless it is `Unhealthy` or `Critical`, or unknown while one that it depends on fails |
    /// | another name | `Check`: the status `NOT_FOUND`; `Watch`: `SERVICE_UNKNOWN`, until there is one |
    ///
    /// To answer by the name of a gRPC service, register a component of that name. A component of which nothing is
    /// known serves, as it does for readiness, unless one that it depends on fails. While the process [drains](Self::drain) nothing serves.
    ///
    /// `Watch` tells each change at once when a check, a registration, a gate or a drain made it, and otherwise within
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for); one task looks for all streams,
    /// as long as there are any. Up to 4,096 streams watch at once; one more gets `RESOURCE_EXHAUSTED`. A
    /// question of more than 4 KiB gets `OUT_OF_RANGE`. A server that shuts down gracefully waits for its streams, so these end: when the
    /// grace of [`drain_after`](Self::drain_after) is over, or 5 s after [`drain`](Self::drain). Who asks to watch then
    /// is told `UNAVAILABLE`.
    ///
    /// `List`, which newer versions of the protocol have, is answered `UNIMPLEMENTED`: the protocol of tonic-health does
    /// not have it, and one who may not ask for names by name shall not get all of them. `/healthz` names what is amiss.
    ///
    /// # Example
    /// ```no_run
    /// use campanile::Health;
    /// use std::time::Duration;
    ///
    /// # async fn example(signal: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::standalone();
    /// tonic::transport::Server::builder()
    ///     .add_service(health.grpc_service())
    ///     .serve_with_shutdown("0.0.0.0:50051".parse()?, health.drain_after(signal, Duration::from_secs(10)))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    #[must_use]
    pub fn grpc_service(&self) -> HealthServer<GrpcHealth> {
        HealthServer::new(GrpcHealth { health: self.clone(), board: Arc::default(), seats: Arc::default() })
            .max_decoding_message_size(LONGEST)
    }
}

#[tonic::async_trait]
impl Protocol for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &*request.get_ref().service;
        let serves = match service {
            "" => self.health.is_ready(),
            name => match self.health.recent().component(name) {
                Some(component) => component.serves() && !self.health.is_draining(),
                None => return Err(Status::not_found("no component has that name")),
            },
        };
        Ok(Response::new(answer(status(Some(serves)))))
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watching>, Status> {
        let service = request.into_inner().service;
        // Taken before it is counted: of many at once none gets in beyond the bound.
        let seat = Arc::clone(&self.seats);
        if Arc::strong_count(&seat) > STREAMS + 1 {
            return Err(Status::resource_exhausted("too many watch already"));
        }
        let Some(posted) = self.board.watch(&self.health) else {
            return Err(Status::unavailable("the process is shutting down"));
        };
        Ok(Response::new(Watching {
            service,
            told: None,
            posted: WatchStream::new(posted),
            over: false,
            _seat: seat,
        }))
    }
}

/// The stream of what one watches.
pub struct Watching {
    service: String,
    /// What was said last.
    told: Option<ServingStatus>,
    posted: WatchStream<Arc<Posted>>,
    over: bool,
    _seat: Arc<()>,
}

impl Stream for Watching {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let Some(posted) = ready!(Pin::new(&mut self.posted).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            self.over = posted.over;
            let found = status(posted.serves(&self.service));
            if self.told != Some(found) {
                self.told = Some(found);
                return Poll::Ready(Some(Ok(answer(found))));
            }
        }
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching")
            .field("service", &self.service)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

fn status(serves: Option<bool>) -> ServingStatus {
    match serves {
        None => ServingStatus::ServiceUnknown,
        Some(false) => ServingStatus::NotServing,
        Some(true) => ServingStatus::Serving,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
