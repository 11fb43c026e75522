//! A plain retry around requests that are not `Clone`, in a stack that is boxed for a field of a struct.
use campanile::Retry;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, service_fn};

struct Order(u32);

async fn pay(order: Order) -> Result<u32, BoxError> {
    Ok(order.0)
}

fn main() -> Result<(), BoxError> {
    let retry = Retry::builder().build()?;
    let payments = ServiceBuilder::new().layer(retry.layer()).service(service_fn(pay));
    let _: BoxCloneService<Order, u32, BoxError> = BoxCloneService::new(payments);
    Ok(())
}
