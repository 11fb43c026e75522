//! What a keyed breaker keeps in memory: no more than its bound allows, however many keys come. A separate binary,
//! for it counts all bytes.
#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use campanile::breaker::KeyedBreaker;
use campanile::{CircuitBreaker, Window};
use tokio_test::task;

struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BOUND: u32 = 10_000;

type ByHost = KeyedBreaker<Arc<str>, fn(&Arc<str>) -> Arc<str>>;

fn by_host() -> ByHost {
    let key_of: fn(&Arc<str>) -> Arc<str> = Arc::clone;
    CircuitBreaker::keyed("upstream", key_of)
        .window(Window::count(100))
        .max_keys(BOUND)
        .max_ejected(1.0)
        .build()
        .unwrap()
}

/// The bytes that are allocated after calls of `keyed` with these keys, since `before`.
fn after(keyed: &ByHost, keys: std::ops::Range<u32>, calls: usize, good: bool, before: isize) -> f64 {
    for key in keys {
        let host: Arc<str> = format!("host-{key:06}.example.net").into();
        for _ in 0..calls {
            let work = async { if good { Ok(()) } else { Err("broken") } };
            assert!(task::spawn(keyed.call(Arc::clone(&host), work)).poll().is_ready());
        }
    }
    (BYTES.get() - before) as f64
}

#[test]
fn a_hundred_thousand_keys_take_no_more_memory_than_ten_thousand() {
    let before = BYTES.get();
    let keyed = by_host();
    let sizes: Vec<f64> = [0..20_000, 20_000..50_000, 50_000..100_000]
        .into_iter()
        .map(|keys| after(&keyed, keys, 1, true, before))
        .collect();
    let snapshot = keyed.snapshot();
    assert_eq!(snapshot.circuits + snapshot.evicted, 100_000);
    assert_eq!(snapshot.circuits, u64::from(BOUND));
    for size in &sizes {
        assert!((size / sizes[0] - 1.0).abs() < 0.01, "the memory grows with the number of keys: {sizes:?}");
    }
    let each = sizes[2] / f64::from(BOUND);
    println!("{each:.0} bytes for each key");
    assert!(each <= 1_024.0, "{each} bytes for each key");
    drop(keyed);
    // Memory outside the breaker, such as the registry of sources.
    assert!(BYTES.get() - before < 1_000);
}

#[test]
fn a_circuit_that_opened_and_closed_stays_within_its_memory_bound() {
    let before = BYTES.get();
    let keyed = by_host();
    after(&keyed, 0..BOUND, 12, false, before);
    let open = keyed.snapshot().states.open;
    keyed.circuits().into_iter().for_each(|(_, circuit)| circuit.reset());
    let size = after(&keyed, 0..BOUND, 110, true, before);
    let each = size / keyed.snapshot().circuits as f64;
    println!("{each:.0} bytes for each key, {open} were open");
    assert!(open > 9_000, "{open}");
    assert!(each <= 1_024.0, "{each} bytes for each key");
}
