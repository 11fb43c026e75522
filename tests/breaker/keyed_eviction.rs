//! Which circuit is evicted for a new key.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::{CircuitState, HalfOpen};
use tokio_test::task;

use crate::keyed::{breaks, call, keyed, keys, state};
use crate::{OPEN_FOR, advance};

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_key_is_evicted() {
    let keyed = keyed().max_keys(3).build().unwrap();
    for key in [1, 2, 3] {
        call(&keyed, key, true).await.unwrap();
    }
    call(&keyed, 1, true).await.unwrap();
    // `get` does not count as a use.
    assert!(keyed.get(&2).is_some() && keyed.get(&9).is_none());
    call(&keyed, 4, true).await.unwrap();
    assert_eq!(keys(&keyed), [1, 3, 4]);
    // A refused call does.
    keyed.circuit(3).force_open();
    call(&keyed, 1, true).await.unwrap();
    call(&keyed, 4, true).await.unwrap();
    assert!(call(&keyed, 3, true).await.unwrap_err().is_rejected());
    call(&keyed, 5, true).await.unwrap();
    assert_eq!(keys(&keyed), [3, 4, 5]);
    let snapshot = keyed.snapshot();
    assert_eq!((snapshot.circuits, snapshot.max_keys, snapshot.evicted), (3, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_closed_circuit_is_evicted_before_an_open_one() {
    let keyed = keyed().max_keys(20).build().unwrap();
    breaks(&keyed, 1).await;
    breaks(&keyed, 2).await;
    advance(OPEN_FOR).await;
    let mut probe = task::spawn(keyed.call(2, pending::<Result<(), &str>>()));
    assert!(probe.poll().is_pending());
    keyed.circuit(3).force_open();
    keyed.circuit(4).disable();
    keyed.circuit(5).metrics_only();
    for key in 100..300 {
        call(&keyed, key, true).await.unwrap();
        assert!(keyed.snapshot().circuits <= 20);
    }
    assert_eq!(keys(&keyed), [(1..=5).collect::<Vec<_>>(), (285..300).collect()].concat());
    assert_eq!(state(&keyed, 1), Some(CircuitState::Open));
    assert_eq!(state(&keyed, 2), Some(CircuitState::HalfOpen));

    // If none is closed, the least recently used open circuit is evicted, and new keys take turns at its place.
    for key in 285..300 {
        breaks(&keyed, key).await;
    }
    for key in 300..400 {
        call(&keyed, key, true).await.unwrap();
    }
    assert_eq!(keys(&keyed), [(2..=5).collect::<Vec<_>>(), (285..300).collect(), vec![399]].concat());
    // A refused call has used it since. The probe of 2 still runs.
    assert!(call(&keyed, 285, true).await.is_err());
    for (key, gone) in [(400, 2), (401, 286), (402, 287)] {
        breaks(&keyed, key).await;
        call(&keyed, 500 + key, true).await.unwrap();
        assert!(state(&keyed, gone).is_none() && state(&keyed, 285).is_some(), "{gone}");
    }
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_new_keys_evicts_no_open_circuit() {
    // More than one shard, each with its own bound.
    let keyed = keyed().max_keys(2_000).build().unwrap();
    for key in 0..200 {
        breaks(&keyed, key).await;
    }
    // Some are half-open. An operator closed one, which was not used since.
    advance(OPEN_FOR).await;
    for key in 0..20 {
        call(&keyed, key, true).await.unwrap();
    }
    keyed.circuits().into_iter().find(|(key, _)| *key == 199).unwrap().1.force_closed();
    for key in 1_000..101_000 {
        call(&keyed, key, true).await.unwrap();
    }
    let left: Vec<_> = keys(&keyed).into_iter().filter(|key| *key < 1_000).collect();
    assert_eq!(left, (0..199).collect::<Vec<_>>());
    let snapshot = keyed.snapshot();
    assert_eq!((snapshot.circuits, snapshot.states.half_open, snapshot.states.open), (2_000, 20, 179));
    assert_eq!(snapshot.circuits + snapshot.evicted, 100_200);
}

#[tokio::test(start_paused = true)]
async fn circuits_that_operators_set_are_evicted_last() {
    let keyed = keyed().max_keys(6).build().unwrap();
    keyed.circuit(1).force_open();
    keyed.circuit(2).disable();
    keyed.circuit(3).metrics_only();
    for key in 4..7 {
        breaks(&keyed, key).await;
    }
    for key in 7..10 {
        breaks(&keyed, key).await;
    }
    assert_eq!(keys(&keyed), [1, 2, 3, 7, 8, 9]);
    for key in 7..10 {
        keyed.circuit(key).force_open();
    }
    for key in 100..110 {
        call(&keyed, key, true).await.unwrap();
    }
    assert_eq!(keys(&keyed), [2, 3, 7, 8, 9, 109]);
    // After a reset it ranks like any other.
    keyed.circuits().into_iter().find(|(key, _)| *key == 8).unwrap().1.reset();
    call(&keyed, 110, true).await.unwrap();
    call(&keyed, 111, true).await.unwrap();
    assert_eq!(keys(&keyed), [2, 3, 7, 9, 110, 111]);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_without_calls_is_not_kept_for_ever() {
    let keyed = keyed()
        .max_keys(4)
        .half_open(HalfOpen { permits: 2, max_wait: Duration::from_secs(30) })
        .build()
        .unwrap();
    breaks(&keyed, 1).await;
    breaks(&keyed, 2).await;
    advance(OPEN_FOR).await;
    call(&keyed, 2, true).await.unwrap();
    advance(Duration::from_secs(3_600) - Duration::from_millis(1)).await;
    for key in 100..110 {
        call(&keyed, key, true).await.unwrap();
    }
    assert_eq!(keys(&keyed), [1, 2, 108, 109], "one is open, one half-open");
    // A probe counts as a use.
    call(&keyed, 2, false).await.unwrap_err();
    advance(Duration::from_millis(1)).await;
    call(&keyed, 110, true).await.unwrap();
    assert_eq!(keys(&keyed), [2, 108, 109, 110]);
    call(&keyed, 111, true).await.unwrap();
    assert_eq!(keys(&keyed), [2, 109, 110, 111]);
}

#[test]
fn floods_from_many_threads_evict_no_open_circuit() {
    const OPEN: u64 = 300;
    let keyed = keyed().max_keys(1_200).build().unwrap();
    let broken = || {
        for key in 0..OPEN {
            assert!(task::spawn(call(&keyed, key, false)).poll().is_ready());
        }
    };
    // The threads open every circuit during the floods.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let floods: Vec<_> = (1..4_u64)
            .map(|thread| {
                let (keyed, done) = (&keyed, &done);
                scope.spawn(move || {
                    let mut key = thread << 32;
                    while !done.load(Ordering::SeqCst) || key & 0xffff < 2_000 {
                        assert!(task::spawn(call(keyed, key, true)).poll().is_ready());
                        key += 1;
                    }
                })
            })
            .collect();
        let breakers: Vec<_> = (0..2).map(|_| scope.spawn(|| (0..10).for_each(|_| broken()))).collect();
        breakers.into_iter().for_each(|breaker| breaker.join().unwrap());
        done.store(true, Ordering::SeqCst);
        floods.into_iter().for_each(|flood| flood.join().unwrap());
    });
    // A flood may have evicted a closed circuit before its key failed.
    (0..10).for_each(|_| broken());
    for key in 0..2_000 {
        assert!(task::spawn(call(&keyed, 9 << 32 | key, true)).poll().is_ready());
    }
    let open = (0..OPEN).filter(|key| state(&keyed, *key) == Some(CircuitState::Open)).count();
    assert_eq!(open as u64, OPEN);
    let states = keyed.snapshot().states;
    assert_eq!((states.open, states.open + states.closed), (OPEN, keyed.snapshot().circuits));
}
