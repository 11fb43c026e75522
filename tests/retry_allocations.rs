//! Property 12: a call that succeeds costs no allocation. A binary of its own, for it counts all of them.
#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use campanile::Retry;
use tower::{BoxError, Layer, Service, service_fn};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[tokio::test]
async fn p12_a_call_that_succeeds_allocates_nothing() {
    let retry = Retry::builder()
        .deadline(Duration::from_secs(10))
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let mut service = retry.layer().layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) }));
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = |n| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let answer = std::pin::pin!(service.call(n));
        assert!(matches!(answer.poll(&mut cx), Poll::Ready(Ok(answer)) if answer == n + 1));
    };
    call(0);
    let before = allocations();
    (1..1_000).for_each(&mut call);
    assert_eq!(allocations() - before, 0);

    let before = allocations();
    let mut counted = std::pin::pin!(retry.run(|| async { Ok::<_, BoxError>(1) }));
    assert!(counted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(allocations() - before, 0);
    assert_eq!(retry.snapshot().successes, 1_001);
    drop(std::hint::black_box(Box::new(1)));
    assert_ne!(allocations(), before, "the counter works");
}
