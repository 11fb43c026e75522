//! The targets of the spans and events that this crate makes for requests. A filter may name them.

/// The target of HTTP requests.
pub(super) const HTTP: &str = "campanile::http";

/// The target of gRPC requests.
pub(super) const GRPC: &str = "campanile::grpc";

/// All of them.
pub(super) const REQUESTS: [&str; 2] = [HTTP, GRPC];
