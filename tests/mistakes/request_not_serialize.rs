//! A queue of dead letters around requests that serde cannot write.
use campanile::DeadLetterQueue;
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, service_fn};

#[derive(Clone)]
struct Order(u32);

fn main() {
    let queue = DeadLetterQueue::in_memory(1_000);
    let pay = service_fn(|order: Order| async move { Ok::<_, BoxError>(order.0) });
    let payments = ServiceBuilder::new().layer(queue.layer()).service(pay);
    let _: BoxService<Order, u32, BoxError> = BoxService::new(payments);
}
