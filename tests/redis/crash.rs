//! Properties 20, 22 and 23: acknowledged letters survive `kill -9` of a process or of Redis itself.
//!
//! Meanwhile another process reads the letters, a health check asks Redis, the memory of Redis is full for a time,
//! and the wall clock of the parking processes is changed.

use std::ffi::OsStr;
use std::io::Read;
use std::time::Duration;

use campanile::dead_letter::LetterFilter;
use campanile::health::{Check, RedisCheck};
use fastrand::Rng;

use crate::kill::{Clock, Ledger, Victim, queues, send_all, there, work};
use crate::long::times;
use crate::orders::{Process, queue};
use crate::support::redis::Redis;

const URL: &str = "CAMPANILE_TEST_REDIS_CRASH";
const VISITED: &str = "CAMPANILE_TEST_REDIS_VISITED";

/// Not a separate test: the child of the test below. It parks and redrives until it is killed.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = queue(&url).await;
        tokio::spawn(async move {
            let check = RedisCheck::builder(&url).build().unwrap();
            loop {
                let _ = check.check().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        work(queue).await;
    });
}

/// Not a separate test: another process. It reads until it is killed. Redis may be down.
#[tokio::test]
async fn visitor() {
    let Ok(url) = std::env::var(VISITED) else {
        return;
    };
    // Its input ends with the test.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let queues = queues(&queue(&url).await);
    loop {
        for queue in &queues {
            let _ = queue.list(LetterFilter::all().limit(50)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The number of connections to Redis, including that of `redis-cli`.
fn clients(redis: &Redis) -> usize {
    redis.cli(&["CLIENT", "LIST"]).lines().count()
}

/// Waits until Redis has closed the connections of a killed process, which it does after running their last commands.
async fn wait_until_closed(redis: &Redis, others: usize) {
    for _ in 0..3_000 {
        if clients(redis) <= others {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("Redis did not close the connection of a killed process");
}

/// Changes the memory limit and the clock while a child works.
async fn disturb(redis: &Redis, clock: &Clock, random: &mut Rng) {
    let moments = random.u64(1..5);
    for _ in 0..moments {
        tokio::time::sleep(Duration::from_micros(random.u64(..30_000) / moments)).await;
        match random.u8(..4) {
            0 => drop(redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"])),
            1 => drop(redis.cli(&["CONFIG", "SET", "maxmemory", "0"])),
            _ => clock.step(random),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p22_p23_every_acknowledged_letter_survives_kills() {
    let rounds = times(40, 500);
    let seed = times(24, fastrand::u32(..));
    eprintln!("seed: {seed}");
    let mut random = Rng::with_seed(seed.into());
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path());
    let mut redis = Redis::start().await;
    let url = redis.url();
    let watching = queue(&url).await;
    let watched = queues(&watching);
    let visitor = Process::start("crash::visitor", &[(VISITED, &url)]);
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        // The visitor, the watching queue and `redis-cli`. The first two reconnect after Redis was down.
        let others = 3;
        let _ = watching.len().await.unwrap();
        while clients(&redis) < others {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let victim = Victim::start("crash::child", round, &clock, &[(URL, OsStr::new(&url))]);
        if round % 4 > 0 {
            while !ledger.record(&victim.line()) {}
            disturb(&redis, &clock, &mut random).await;
        } else {
            tokio::time::sleep(Duration::from_micros(random.u64(..80_000))).await;
        }
        // Sometimes Redis is killed first.
        let both = round % 20 == 19;
        if both {
            redis.stop("KILL");
        }
        victim.kill().iter().for_each(|line| _ = ledger.record(line));
        if both {
            redis.start_again().await;
        }
        wait_until_closed(&redis, others).await;
        redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        ledger.assert_kept(&there(&watched).await, round);
    }
    eprintln!("{ledger}");
    assert!(ledger.parked.len() > rounds as usize && !ledger.delivered.is_empty());
    assert!(!ledger.dropped.is_empty(), "the memory was never full");
    drop(visitor.kill());
    send_all(&watched).await;
}
