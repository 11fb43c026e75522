//! The exporters of opentelemetry-otlp, and the transport that sends their messages.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::task::JoinSet;

use super::background::Background;
use super::sender::Sender;
use crate::base::sync::Mutex;

/// An exporter of opentelemetry-otlp that reports the errors of its transport.
#[derive(Debug)]
pub(in crate::telemetry) struct Exporter<E> {
    pub(super) inner: E,
    pub(super) transport: Arc<Transport>,
}

impl<E> Exporter<E> {
    /// Replaces the error of `inner` by that of the transport, which `inner` discards.
    fn with_cause(&self, result: OTelSdkResult) -> OTelSdkResult {
        result.map_err(|error| self.transport.error.lock().take().unwrap_or(error))
    }
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.with_cause(self.inner.export(batch).await)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Exporter<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.with_cause(self.inner.export(batch).await)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Exporter<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.with_cause(self.inner.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(limit)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

/// Sends the messages that an exporter of opentelemetry-otlp encodes, on the background runtime.
#[derive(Debug)]
pub(super) struct Transport {
    sender: Arc<Sender>,
    /// Keeps the runtime alive for as long as there is an exporter.
    background: Arc<Background>,
    /// The error of the last export. Each exporter of a pipeline runs one export at a time.
    error: Mutex<Option<OTelSdkError>>,
}

impl Transport {
    pub(super) fn new(sender: Sender, background: &Arc<Background>) -> Self {
        Self { sender: Arc::new(sender), background: Arc::clone(background), error: Mutex::new(None) }
    }

    /// Configures `builder` so that its exporter sends with this transport.
    pub(super) fn configure<B: WithExportConfig + WithHttpConfig>(self: &Arc<Self>, builder: B) -> B {
        let target = &self.sender.target;
        builder
            // opentelemetry-otlp logs the endpoint. Path and query may hold a secret, so they are left out here; the sender
            // has the whole URL.
            .with_endpoint(target.origin())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(target.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            // The sender splits large messages and compresses.
            .with_max_request_body_size(usize::MAX)
            .with_shared_http_client(Arc::clone(self) as Arc<dyn HttpClient>)
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, message: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sender = Arc::clone(&self.sender);
        // Aborts the task when this future is dropped.
        let mut task = JoinSet::new();
        task.spawn_on(async move { sender.send(message.into_body()).await }, &self.background.handle);
        let sent = match task.join_next().await {
            Some(Ok(sent)) => sent,
            Some(Err(error)) => {
                Err(OTelSdkError::InternalFailure(format!("the export task ended early: {error}")))
            }
            None => Ok(()),
        };
        match sent {
            // The sender has read the answer. With its content, the exporter would only log it.
            Ok(()) => Ok(Response::new(Bytes::new())),
            Err(error) => {
                let text = error.to_string();
                *self.error.lock() = Some(error);
                Err(text.into())
            }
        }
    }
}
