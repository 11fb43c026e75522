//! OTLP, over HTTP and over gRPC.
//!
//! The exporters are those of opentelemetry-otlp. They group what is exported by resource and scope, encode it as protobuf
//! and compress it. Then they call the `HttpClient` that they were given. That is our [`Transport`](exporter::Transport), which does what
//! opentelemetry-otlp 0.33.1 does not do:
//!
//! - It sends on a small runtime of the pipeline's own. Exports do not depend on the runtime of the application: there may
//!   be none, or it may be blocked.
//! - It ends an export when its time is over, retries and the waits between them included. The shutdown of the pipeline
//!   ends those waits. opentelemetry-otlp sleeps between retries and cannot be interrupted, so its retries are off.
//! - It counts the items that a collector rejects. opentelemetry-otlp logs them and reports success.
//! - It keeps the cause of a failed export. opentelemetry-otlp reports "network error" for every export without an answer.
//! - It takes address, headers and certificates from [`Target`](target::Target), which checks them. opentelemetry-otlp drops malformed
//!   headers silently, appends the path of a signal to the query of an endpoint, and reads no certificates.
//! - It connects anew after an export that timed out. A connection that has died is not used again.
//!
//! Over gRPC the same message travels in a frame. The module `grpc` says why opentelemetry-otlp does not send it.
//!
//! opentelemetry-otlp logs the address it was given, and answers that are errors. Its log is off here, but another
//! dependency of the application may switch it on (`internal-logs`). So it is given the host of the collector alone, and
//! answers without content: `tests/export_log.rs`.
//!
//! Two limits come with it. A message of more than 64 MiB is not sent, and counts as a failed export. When the
//! application reads variables from elsewhere than the environment and they do not ask for compression,
//! `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` in the environment still compresses.

mod answer;
mod background;
mod build;
mod connect;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod headers;
mod sender;
mod split;
mod target;

pub(super) use self::background::Background;
pub(super) use self::build::{logs, metrics, spans};
