//! The builder of a client with layers.

use std::fmt;
use std::sync::Arc;

use ::reqwest::Client;

use super::client::HttpClient;
use crate::dead_letter::DeadLetterQueue;
use crate::edge::stack::{Layers, Spans};
use crate::layers::breaker::CircuitBreaker;
use crate::layers::retry::Retry;
use crate::layers::timing::Timing;
use crate::telemetry::Telemetry;

impl HttpClient {
    /// Returns a builder. Without its setters, the client has no layer but the client spans of an installed pipeline.
    pub fn builder(name: impl Into<Arc<str>>, client: Client) -> HttpClientBuilder {
        HttpClientBuilder { name: name.into(), client, layers: Layers::default() }
    }
}

/// Makes an [`HttpClient`] with the layers that are set. The handles are shared: several clients may have the same breaker.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct HttpClientBuilder {
    name: Arc<str>,
    client: Client,
    layers: Layers,
}

impl HttpClientBuilder {
    setters! {
        /// Sets the queue that takes the requests that failed for good.
        pub fn letters(queue: &DeadLetterQueue) { layers.letters = Some(queue.clone()); }
        /// Sets the retry.
        pub fn retry(retry: &Retry) { layers.retry = Some(retry.clone()); }
        /// Sets the circuit breaker. All hosts to which the client sends share its circuit.
        pub fn breaker(breaker: &CircuitBreaker) { layers.breaker = Some(breaker.clone()); }
        /// Sets the timing, which times each attempt.
        pub fn timing(timing: &Timing) { layers.timing = Some(timing.clone()); }
    }

    /// Sets the pipeline that gets a client span for each attempt; the name of this client is its component. Default: the
    /// [installed](crate::telemetry::TelemetryBuilder::install) one, if there is one.
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.layers.telemetry =
            Some(Spans { telemetry: telemetry.clone(), component: Arc::clone(&self.name) });
        self
    }

    /// Builds the client.
    #[must_use]
    pub fn build(self) -> HttpClient {
        let Self { name, client, mut layers } = self;
        if layers.telemetry.is_none() {
            let component = Arc::clone(&name);
            layers.telemetry = Telemetry::installed().map(|telemetry| Spans { telemetry, component });
        }
        HttpClient::with(name, client, layers)
    }
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
