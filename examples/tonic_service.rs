//! A gRPC service on tonic with spans, metrics and health, as in docs/tonic.md. It serves until SIGTERM.
//!
//! `cargo run --example tonic_service --features grpc,hub`

use campanile::Campanile;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

struct Traces;

#[tonic::async_trait]
impl TraceService for Traces {
    #[tracing::instrument(skip_all, fields(component = "store", resources))]
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.len();
        tracing::Span::current().record("resources", resources);
        if resources == 0 {
            return Err(Status::invalid_argument("there are no spans"));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let campanile = Campanile::builder("traces").start().await?;
    let api = campanile.server("api").build()?;

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:50051".to_owned());
    let incoming = TcpIncoming::bind(address.parse()?)?;
    let server = tonic::transport::Server::builder()
        .layer(api.grpc_layer())
        .add_service(TraceServiceServer::new(Traces))
        .add_service(campanile.health().grpc_service());
    campanile.run(|stop| server.serve_with_incoming_shutdown(incoming, stop)).await?;
    Ok(())
}
