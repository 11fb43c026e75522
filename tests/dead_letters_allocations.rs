//! Property 12: a call that succeeds costs no allocation beyond the copy of its request. A binary of its own, for it
//! counts all of them.
#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use campanile::DeadLetterQueue;
use tower::{BoxError, Layer as _, Service, service_fn};

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

#[test]
fn p12_a_call_that_succeeds_allocates_nothing() {
    let queue = DeadLetterQueue::in_memory(10);
    let mut service = queue.layer().layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) }));
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
    drop(std::hint::black_box(Box::new(1)));
    assert_ne!(allocations(), before, "the counter works");
}
