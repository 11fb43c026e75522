//! What the layers cost a call that succeeds, in allocations of the caller's thread.
#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use campanile::reqwest::HttpClient;
use campanile::{DeadLetterQueue, Timing};
use tokio::runtime;

use crate::support::{Server, breaker, retry};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator.
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

/// reqwest alone makes 46. The layers make 23 more, most for its types: the URI of `http`, and boxes of bodies.
#[test]
fn a_call_that_succeeds_costs_few_allocations() {
    let (sender, server) = mpsc::channel();
    thread::spawn(move || {
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            sender.send(Server::after(0).await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let url: reqwest::Url = server.recv().unwrap().url("/orders").parse().unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (queue, retry, breaker) = (DeadLetterQueue::in_memory(10), retry().build().unwrap(), breaker());
    let payments = HttpClient::builder("payments", reqwest::Client::new())
        .letters(&queue)
        .retry(&retry)
        .breaker(&breaker)
        .timing(&Timing::new("test"))
        .build();
    let call = |layers: bool| {
        let mut request = reqwest::Request::new(reqwest::Method::POST, url.clone());
        *request.body_mut() = Some("two cups".into());
        let before = ALLOCATIONS.with(Cell::get);
        let body = runtime.block_on(async {
            let response = if layers {
                payments.execute(request).await.unwrap()
            } else {
                payments.client().execute(request).await.unwrap()
            };
            response.bytes().await.unwrap()
        });
        assert_eq!(body, "two cups");
        ALLOCATIONS.with(Cell::get) - before
    };
    let least = |layers| (0..200).map(|_| call(layers)).min().unwrap();
    let (bare, layered) = (least(false), least(true));
    eprintln!("{bare} allocations without layers, {layered} with all");
    assert!(layered <= bare + 30, "{bare} without layers, {layered} with all");
}
