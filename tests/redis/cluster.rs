//! A cluster: one node holds a queue, and different nodes hold different queues.

use std::time::Duration;

use campanile::store::{RedisStore, Store};

use crate::store_checks::{self, WIDE, entry};
use crate::support::redis::Redis;

const TIMEOUT: Duration = Duration::from_secs(20);

async fn check(store: &RedisStore) {
    store_checks::a_failed_letter_replaces_the_old_one(store).await;
    store_checks::a_group_describes_all_its_letters(store).await;
    store_checks::failures_are_counted_by_cause(store).await;
    store_checks::a_purge_removes_letters_and_keeps_a_record(store).await;
    store_checks::expired_letters_are_removed(store).await;
    store_checks::a_renewed_lease_holds(store).await;
    store_checks::unusual_names_and_bytes_are_preserved(store).await;
    store_checks::queues_are_independent(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_share_the_queues() {
    let nodes = Redis::start_cluster().await;
    let others = nodes[1..].iter().map(Redis::url);
    let store =
        RedisStore::builder(nodes[0].url()).cluster(others).response_timeout(TIMEOUT).open().await.unwrap();
    check(&store).await;
    for number in 0..20 {
        store_checks::put(&store, &entry(&format!("queue {number}").into())).await;
    }
    for node in &nodes {
        let keys = node.cli(&["--scan"]);
        assert!(keys.lines().count() > 10, "each node has some keys: {keys}");
        for key in keys.lines() {
            assert!(key.starts_with("{campanile:") && key.contains('}'), "{key}");
        }
    }
    // Without `cluster`, the error says to set it.
    let one = RedisStore::builder(nodes[0].url()).response_timeout(TIMEOUT).open().await.unwrap();
    let mut errors = Vec::new();
    for number in 0..20 {
        errors.extend(one.put(entry(&format!("queue {number}").into()), WIDE).await.err());
    }
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error.to_string().contains("`cluster`")),
        "{errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_can_be_stopped_and_started() {
    let mut node = Redis::start_cluster_node(0, 16_383).await;
    node.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok").await;
    let none: [String; 0] = [];
    let store = RedisStore::builder(node.url()).cluster(none).response_timeout(TIMEOUT).open().await.unwrap();
    check(&store).await;
    let parked = entry(&"orders".into());
    store_checks::put(&store, &parked).await;
    node.stop("TERM");
    node.start_again().await;
    store_checks::put(&store, &entry(&"orders".into())).await;
    assert_eq!(store.get("orders", parked.id).await.unwrap(), Some(parked));
}
