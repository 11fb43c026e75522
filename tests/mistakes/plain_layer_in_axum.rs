//! The plain layer of a breaker in axum.
use axum::Router;
use campanile::CircuitBreaker;

fn main() -> Result<(), campanile::ConfigError> {
    let breaker = CircuitBreaker::builder("payments").build()?;
    let _: Router = Router::new().layer(breaker.layer());
    Ok(())
}
