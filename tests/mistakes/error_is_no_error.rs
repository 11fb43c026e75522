//! An error type without `std::error::Error`, in a service and in a function that is retried.
use campanile::{CircuitBreaker, Retry};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, service_fn};

#[derive(Debug)]
struct Refused;

async fn pay(order: u32) -> Result<u32, Refused> {
    if order > 0 { Ok(order) } else { Err(Refused) }
}

fn main() -> Result<(), campanile::ConfigError> {
    let breaker = CircuitBreaker::builder("payments").build()?;
    let payments = ServiceBuilder::new().layer(breaker.layer()).service(service_fn(pay));
    let _: BoxService<u32, u32, BoxError> = BoxService::new(payments);

    let retry = Retry::builder().build()?;
    let _ = retry.run(|| pay(7));
    Ok(())
}
