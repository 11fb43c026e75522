//! The same, called by a method of `ServiceExt`. The compiler names no reason but shows the definition of the service.
use campanile::Retry;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

struct Order(u32);

async fn pay(order: Order) -> Result<u32, BoxError> {
    Ok(order.0)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let retry = Retry::builder().build()?;
    let mut payments = ServiceBuilder::new().layer(retry.layer()).service(service_fn(pay));
    payments.ready().await?.call(Order(7)).await?;
    Ok(())
}
