//! A classifier of whole responses, where a layer of HTTP classifies their heads.
use axum::Router;
use axum::body::Body;
use campanile::{CircuitBreaker, FailureKind, Outcome};
use http::Response;
use tower::BoxError;

fn main() -> Result<(), campanile::ConfigError> {
    let breaker = CircuitBreaker::builder("payments").build()?;
    let by_status = |result: Result<&Response<Body>, &BoxError>| match result {
        Ok(response) if response.status().is_success() => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Error),
    };
    let _: Router = Router::new().layer(breaker.http_layer().classify(by_status));
    Ok(())
}
