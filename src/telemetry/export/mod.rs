//! OTLP, over HTTP and over gRPC.
//!
//! The exporters are those of opentelemetry-otlp. They group items by resource and scope and encode them as protobuf. Then
//! they call an `HttpClient`. Ours is [`Transport`](exporter::Transport). It does what opentelemetry-otlp 0.33.1 does not do:
//!
//! - It sends on a small runtime of the pipeline's own. The application may have no runtime, or may block it.
//! - It applies the timeout to the whole export, including retries and the delays between them. The shutdown of the
//!   pipeline ends those delays. opentelemetry-otlp sleeps between retries and cannot be interrupted, so its retries are
//!   off.
//! - It counts the items that a collector rejects. opentelemetry-otlp logs them and reports success.
//! - It keeps the cause of a failed export. opentelemetry-otlp reports "network error" for every export without an answer.
//! - It takes URL, headers and certificates from [`Target`](target::Target), which checks them. opentelemetry-otlp drops malformed
//!   headers silently, appends the path of a signal to the query of an endpoint, and reads no certificates.
//! - It opens a new connection after an export that timed out, because the old one may be dead.
//!
//! Over gRPC the same message is sent in a frame. The module `grpc` says why opentelemetry-otlp does not send it.
//!
//! opentelemetry-otlp logs its endpoint and error answers. Its log is off here, but another dependency of the application
//! may switch it on (feature `internal-logs`). So it gets the origin of the collector only, and answers without content.
//! `tests/export_log.rs` checks this.
//!
//! Two limits remain. opentelemetry-otlp refuses a message of more than 64 MiB, which counts as a failed export. When the
//! application reads variables from a source of its own and they do not ask for compression,
//! `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` in the environment still compresses.
//!
//! Start with `build.rs`, then `sender.rs`.

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
