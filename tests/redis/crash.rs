//! Properties 22 and 23: what a caller was told is true after `kill -9`, of a process or of Redis itself.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{Filter, Redrive};
use tower::{BoxError, service_fn};

use crate::long::times;
use crate::orders::{Order, Process, fail, queue, say, waiting};
use crate::support::redis::Redis;

const URL: &str = "CAMPANILE_TEST_REDIS_CRASH";
const FIRST: &str = "CAMPANILE_TEST_FIRST";

/// The shortest: what a child that was killed held is free soon.
const LEASE: Duration = Duration::from_millis(100);

/// Not a test of its own: the child of the one below, parking and redriving until it is killed.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = queue(&url).await;
        for task in 0..8 {
            let queue = queue.clone();
            tokio::spawn(async move {
                for round in 0..100_000 {
                    let number = first + task + 8 * round;
                    fail(&queue, number).await;
                    say(&format!("parked {number}"));
                }
            });
        }
        loop {
            redrive(&queue, |number| say(&format!("delivered {number}"))).await;
            assert_eq!(queue.snapshot().dropped_total(), 0);
        }
    });
}

/// Sends all there is; one letter in eight fails again.
async fn redrive(queue: &DeadLetterQueue, mut delivered: impl FnMut(u32)) {
    let service = service_fn(move |order: Order| {
        let done = fastrand::u8(..8) > 0;
        if done {
            delivered(order.number);
        }
        async move { if done { Ok(()) } else { Err(BoxError::from("again")) } }
    });
    let all = Redrive::all().concurrency(16).lease(LEASE).stop_after(1_000).set_aside_after(0);
    queue.redrive(service, all).await.unwrap();
}

#[derive(Default)]
struct Told {
    parked: BTreeSet<u32>,
    delivered: BTreeSet<u32>,
}

impl Told {
    fn hear(&mut self, line: &str) -> bool {
        let (word, number) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match word {
            "parked" => assert!(self.parked.insert(number), "{line}"),
            _ => {
                self.delivered.insert(number);
            }
        }
        word == "parked"
    }
}

/// How many connections Redis has, that of the question included.
fn clients(redis: &Redis) -> usize {
    redis.cli(&["CLIENT", "LIST"]).lines().count()
}

/// Waits until Redis has carried out what a process sent before it died: its connection goes after that.
async fn gone(redis: &Redis, others: usize) {
    for _ in 0..3_000 {
        if clients(redis) <= others {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the connection of a process that is dead stays");
}

/// What waits, each letter once; the sums agree with what they are sums of.
async fn there(queue: &DeadLetterQueue) -> BTreeSet<u32> {
    let all = waiting(queue).await;
    let once: BTreeSet<u32> = all.iter().copied().collect();
    assert_eq!(once.len(), all.len(), "a letter is there twice");
    assert_eq!(queue.len().await.unwrap(), once.len() as u64);
    assert_eq!(queue.snapshot().waiting, once.len() as u64);
    let groups = queue.groups(Filter::all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), once.len() as u64);
    once
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_p23_every_acknowledged_letter_survives_kills() {
    let rounds = times(40, 200);
    let mut redis = Redis::start().await;
    let url = redis.url();
    let watching = queue(&url).await;
    let mut told = Told::default();
    for round in 0..rounds {
        let first = (1_000_000 * round).to_string();
        let others = clients(&redis);
        let child = Process::start("crash::child", &[(URL, &url), (FIRST, &first)]);
        let at_work = round % 4 > 0;
        if at_work {
            while !told.hear(&child.line().expect("the child ended by itself")) {}
        }
        let time = fastrand::u64(..if at_work { 30_000 } else { 80_000 });
        tokio::time::sleep(Duration::from_micros(time)).await;
        // Now and then Redis goes first.
        if round % 20 == 19 {
            redis.stop("KILL");
        }
        for line in child.kill() {
            told.hear(&line);
        }
        if round % 20 == 19 {
            redis.start_again().await;
        }
        gone(&redis, others).await;
        let there = there(&watching).await;
        let lost: Vec<_> = told
            .parked
            .iter()
            .filter(|number| !there.contains(number) && !told.delivered.contains(number))
            .collect();
        assert!(lost.is_empty(), "round {round}: acknowledged letters are gone: {lost:?}");
        // Or all would be read again and again.
        if round % 5 == 4 {
            redrive(&watching, |number| {
                told.delivered.insert(number);
            })
            .await;
        }
    }
    assert!(told.parked.len() > rounds as usize && !told.delivered.is_empty());

    // What is left can all be sent.
    let mut left = there(&watching).await;
    while !watching.is_empty().await.unwrap() {
        redrive(&watching, |number| {
            left.remove(&number);
        })
        .await;
    }
    assert!(left.is_empty(), "not sent: {left:?}");
}
