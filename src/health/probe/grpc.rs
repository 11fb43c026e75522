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

use super::updates::{ServingState, ServingUpdates};
use crate::base::cut::cut;
use crate::health::handle::Health;

/// Maximum size of a request in bytes. Each stream keeps the name that it asked for.
const MAX_REQUEST: usize = 4_096;

/// Maximum number of open streams of `Watch`.
const MAX_STREAMS: usize = 4_096;

/// Answers `grpc.health.v1.Health`; made by [`Health::grpc_service`].
#[derive(Clone, Debug)]
pub struct GrpcHealth {
    health: Health,
    updates: Arc<ServingUpdates>,
    /// Counts open streams: each holds a clone.
    open_streams: Arc<()>,
}

impl Health {
    /// The probes over gRPC: the health checking protocol `grpc.health.v1`, as a service for a tonic server.
    ///
    /// | requested service | answer |
    /// |---|---|
    /// | the empty name | `SERVING` while the process is [ready](Self::readiness) |
    /// | a component | `SERVING` unless it is `Unhealthy` or `Critical`, or `Unknown` while one that it depends on fails |
    /// | another name | `Check`: the status `NOT_FOUND`; `Watch`: `SERVICE_UNKNOWN`, until a component has that name |
    ///
    /// To answer for a gRPC service, register a component under its name. While the process [drains](Self::drain),
    /// nothing is `SERVING`.
    ///
    /// `Watch` sends a change at once if a check, a registration, a gate or a drain caused it, and otherwise within
    /// [`HealthSettings::cached_for`](crate::health::HealthSettings::cached_for). One task takes the snapshots for all
    /// streams. Up to 4,096 streams can be open; the next request gets `RESOURCE_EXHAUSTED`. A request of more than 4 KiB
    /// gets `OUT_OF_RANGE`. A graceful shutdown of the server waits for open streams, so they end with the grace period
    /// of a shutdown (feature `serve`), or 5 s after [`drain`](Self::drain). After that, `Watch` gets `UNAVAILABLE`.
    ///
    /// `List` of newer versions of the protocol is `UNIMPLEMENTED`: tonic-health does not have it, and it would reveal the
    /// names of all components. `/healthz` names those that are not healthy.
    ///
    /// # Example
    /// ```no_run
    /// use campanile::Health;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::standalone();
    /// tonic::transport::Server::builder()
    ///     .add_service(health.grpc_service())
    ///     .serve("0.0.0.0:50051".parse()?)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    #[must_use]
    pub fn grpc_service(&self) -> HealthServer<GrpcHealth> {
        HealthServer::new(GrpcHealth {
            health: self.clone(),
            updates: Arc::default(),
            open_streams: Arc::default(),
        })
        .max_decoding_message_size(MAX_REQUEST)
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
            name => match self.health.inner.recent().component(name) {
                Some(component) => component.serves() && !self.health.inner.is_draining(),
                None => return Err(Status::not_found(format!("no component is named {:?}", cut(name, 64)))),
            },
        };
        Ok(Response::new(answer(status(Some(serves)))))
    }

    type WatchStream = WatchUpdates;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<WatchUpdates>, Status> {
        let service = request.into_inner().service;
        // Cloned before it is counted, so that concurrent requests cannot exceed the maximum.
        let open = Arc::clone(&self.open_streams);
        if Arc::strong_count(&open) > MAX_STREAMS + 1 {
            let message = format!("{MAX_STREAMS} streams of Watch are open, which is the maximum");
            return Err(Status::resource_exhausted(message));
        }
        let Some(states) = self.updates.subscribe(&self.health) else {
            return Err(Status::unavailable("the process is shutting down"));
        };
        Ok(Response::new(WatchUpdates {
            service,
            sent: None,
            states: WatchStream::new(states),
            over: false,
            _open: open,
        }))
    }
}

/// The stream that answers one `Watch`.
pub struct WatchUpdates {
    service: String,
    /// The status that was sent last.
    sent: Option<ServingStatus>,
    states: WatchStream<Arc<ServingState>>,
    over: bool,
    _open: Arc<()>,
}

impl Stream for WatchUpdates {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let Some(state) = ready!(Pin::new(&mut self.states).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            self.over = state.last;
            let status = status(state.serves(&self.service));
            if self.sent != Some(status) {
                self.sent = Some(status);
                return Poll::Ready(Some(Ok(answer(status))));
            }
        }
    }
}

impl std::fmt::Debug for WatchUpdates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchUpdates")
            .field("service", &self.service)
            .field("sent", &self.sent)
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
