//! A breaker around a `BoxService`, which is not `Clone`.
use campanile::CircuitBreaker;
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, service_fn};

fn main() -> Result<(), BoxError> {
    let breaker = CircuitBreaker::builder("payments").build()?;
    let pay = BoxService::new(service_fn(|order: u32| async move { Ok::<_, BoxError>(order) }));
    let payments = ServiceBuilder::new().layer(breaker.layer()).service(pay);
    drop(payments);
    Ok(())
}
