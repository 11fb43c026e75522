//! A redrive through a service of requests that no letter holds.
use campanile::DeadLetterQueue;
use campanile::dead_letter::Redrive;
use tower::{BoxError, service_fn};

#[derive(Clone)]
struct Order(u32);

fn main() {
    let queue = DeadLetterQueue::in_memory(1_000);
    let pay = service_fn(|order: Order| async move { Ok::<_, BoxError>(order.0) });
    let _ = queue.redrive(pay, Redrive::all());
}
