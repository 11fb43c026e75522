//! A real Redis that stops, starts again, and hangs.

use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::TlsSettings;
use campanile::health::{Finding, RedisCheck};
use campanile::store::RedisSettings;

use crate::support::redis::Redis;
use crate::{find, why};

const BRIEF: Duration = Duration::from_millis(500);

fn check(url: &str) -> RedisCheck {
    let mut settings = RedisSettings::default();
    settings.url = url.to_owned();
    settings.response_timeout = BRIEF;
    RedisCheck::from_settings(&settings).unwrap()
}

#[tokio::test]
async fn a_redis_that_hangs_or_stops_fails_until_it_answers_again() {
    let mut redis = Redis::start().await;
    let address = redis.address();
    let check = check(&redis.url());
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let kept = RedisCheck::over(connection).timeout(BRIEF).build().unwrap();
    let queue = DeadLetterQueue::redis(redis.url(), "orders").await.unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
    assert_eq!(find(&kept).await, Finding::Pass);
    assert_eq!(find(&queue).await, Finding::Pass);

    redis.pause();
    assert!(why(find(&check).await).starts_with(&format!("Redis at {address} did not answer ")));
    assert!(why(find(&kept).await).starts_with("Redis did not answer "));
    let stands = why(find(&queue).await);
    assert!(stands.starts_with("the letters of `orders` cannot be counted: "), "{stands}");
    redis.resume();
    assert_eq!(find(&check).await, Finding::Pass);

    redis.stop("TERM");
    let gone = why(find(&check).await);
    assert!(gone.starts_with(&format!("Redis at {address}: ")) && gone.contains("refused"), "{gone}");
    let gone = why(find(&kept).await);
    assert!(gone.starts_with("Redis: "), "{gone}");
    redis.start_again().await;
    assert_eq!(find(&check).await, Finding::Pass);
    // A multiplexed connection does not reconnect, so its check still fails.
    assert!(matches!(find(&kept).await, Finding::Fail(_)));
}

#[tokio::test]
async fn a_wrong_password_fails_and_no_password_is_shown() {
    let redis = Redis::start().await;
    redis.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let address = redis.address();
    assert_eq!(find(&check(&format!("redis://:hunter2@{address}/"))).await, Finding::Pass);
    let wrong = check(&format!("redis://:hunter3@{address}/"));
    let denied = why(find(&wrong).await);
    assert!(denied.contains(&address.to_string()) && !denied.contains("hunter"), "{denied}");
    assert!(!format!("{wrong:?}").contains("hunter"));
    let none = why(find(&check(&redis.url())).await);
    assert!(none.contains("NOAUTH"), "{none}");
    let error = RedisCheck::builder("http://:hunter2@a/").build().unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_cluster_passes_when_it_serves_all_keys() {
    let mut nodes = Redis::start_cluster().await;
    let mut settings = RedisSettings::default();
    settings.url = nodes[0].url();
    settings.cluster = true;
    settings.response_timeout = Duration::from_secs(5);
    let check = RedisCheck::from_settings(&settings).unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
    for node in &nodes {
        node.cli(&["CONFIG", "SET", "cluster-node-timeout", "500"]);
    }
    nodes[2].stop("KILL");
    nodes[0].wait_for(&["CLUSTER", "INFO"], "cluster_state:fail").await;
    nodes[1].wait_for(&["CLUSTER", "INFO"], "cluster_state:fail").await;
    let broken = why(find(&check).await);
    assert!(broken.contains("the cluster does not serve all keys"), "{broken}");
}

#[tokio::test]
async fn a_server_that_requires_a_client_certificate_gets_one() {
    let redis = Redis::start_with_tls().await;
    let mut settings = RedisSettings::default();
    settings.url = redis.url();
    settings.response_timeout = Duration::from_secs(2);
    settings.tls = TlsSettings::default().ca_file(redis.authority().file("ca"));
    assert!(matches!(find(&RedisCheck::from_settings(&settings).unwrap()).await, Finding::Fail(_)));
    let client = redis.authority();
    settings.tls = settings.tls.client_certificate(client.file("client"), client.file("client-key"));
    assert_eq!(find(&RedisCheck::from_settings(&settings).unwrap()).await, Finding::Pass);
}
