//! The Redis store passes the checks of every store.

use std::time::Duration;

use campanile::store::RedisStore;

use crate::support::redis::Redis;

/// A store on a separate server, with a timeout for a busy machine.
async fn open() -> (RedisStore, Redis) {
    let redis = Redis::start().await;
    let store =
        RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(10)).open().await.unwrap();
    (store, redis)
}

crate::store_checks::store_contract!(open().await);
