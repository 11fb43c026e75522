//! Permissions, TLS, invalid settings, and warnings about the server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::TlsSettings;
use campanile::store::{LetterFilter, RedisSettings, RedisStore, Store, StoreError};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::store_checks::{self, WIDE, entry};
use crate::support::redis::Redis;
use crate::support::tls::Authority;

const PASSWORD: &str = "s3cret-of-redis";

/// The commands that a user needs. The documentation of `RedisStore` lists them.
const COMMANDS: &str = "+eval +evalsha +exists +expireat +get +incrby +hdel +hexists +hget +hgetall +hincrby +hlen \
    +hmget +hscan +hset +hstrlen +lpush +lrange +lset +ltrim +set +xack +xadd +xclaim +xdel +xgroup +xinfo +xlen \
    +xpending +xrange +zadd +zcard +zcount +zlexcount +zrange +zrem";

fn with_user(redis: &Redis, user: &str, password: &str) -> String {
    redis.url().replace("://", &format!("://{user}:{password}@"))
}

#[track_caller]
fn assert_says_no_secret(error: &StoreError, redis: &Redis) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(text.contains(&redis.address().to_string()), "{text}");
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_keys_and_the_commands() {
    let redis = Redis::start().await;
    let mut rule = vec!["ACL", "SETUSER", "letters", "on", ">s3cret-of-redis", "~{campanile:*", "-@all"];
    rule.extend(COMMANDS.split_whitespace());
    redis.cli(&rule);
    let url = with_user(&redis, "letters", PASSWORD);
    let store = RedisStore::builder(&url).response_timeout(Duration::from_secs(20)).open().await.unwrap();
    assert!(!format!("{store:?}").contains(PASSWORD));
    // Together they use every script.
    store_checks::a_failed_letter_replaces_the_old_one(&store).await;
    store_checks::a_group_describes_all_its_letters(&store).await;
    store_checks::failures_are_counted_by_cause(&store).await;
    store_checks::a_purge_removes_letters_and_keeps_a_record(&store).await;
    store_checks::expired_letters_are_removed(&store).await;
    store_checks::a_renewed_lease_holds(&store).await;
    store_checks::a_claim_leaves_out_letters_that_are_not_due(&store).await;
    store_checks::a_full_store_drops_the_oldest(&store).await;
    store_checks::each_condition_of_a_filter_applies(&store).await;
    // Repairing a queue needs no other permission.
    let queue: std::sync::Arc<str> = "mended".into();
    let entries = store_checks::put_many(&store, &queue, 3, |_, _| {}).await;
    let parts = ["ids", "index", "due", "groups", "bytes", "stream"]
        .map(|part| format!("{{campanile:mended}}:{part}"));
    let mut lost = vec!["DEL"];
    lost.extend(parts.iter().map(String::as_str));
    redis.cli(&lost);
    assert_eq!(store.list(&queue, &LetterFilter::all()).await.unwrap(), entries);
}

#[tokio::test]
async fn a_refused_user_gets_an_error_without_the_password() {
    let redis = Redis::start().await;
    redis.cli(&["ACL", "SETUSER", "reader", "on", ">s3cret-of-redis", "~other:*", "+@all"]);
    let wrong = with_user(&redis, "letters", PASSWORD);
    let error = RedisStore::open(&wrong).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
    assert_says_no_secret(&error, &redis);

    let store = RedisStore::open(with_user(&redis, "reader", PASSWORD)).await.unwrap();
    let error = store.put(entry(&"orders".into()), WIDE).await.unwrap_err();
    assert!(error.is_denied() && error.to_string().contains("{campanile:"), "{error}");
    assert_says_no_secret(&error, &redis);

    redis.cli(&["CONFIG", "SET", "requirepass", PASSWORD]);
    let error = DeadLetterQueue::redis(redis.url(), "orders").await.unwrap_err();
    assert!(error.is_denied(), "{error}");
}

#[tokio::test]
async fn the_error_for_an_unreachable_server_names_host_and_port() {
    let mut redis = Redis::start().await;
    let url = with_user(&redis, "letters", PASSWORD);
    redis.stop("TERM");
    let error = DeadLetterQueue::builder("orders").redis(&url).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_says_no_secret(&error, &redis);
    // A lazy store can be made nevertheless.
    let store = RedisStore::builder(&url).lazy().unwrap();
    let error = store.put(entry(&"orders".into()), WIDE).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert_says_no_secret(&error, &redis);
}

#[tokio::test]
async fn errors_name_the_invalid_setting() {
    for (builder, setting) in [
        (RedisStore::builder("http://s3cret-of-redis@example"), "url"),
        (RedisStore::builder("redis://h").response_timeout(Duration::from_millis(9)), "response_timeout"),
        (RedisStore::builder("redis://h").wait_for_replicas(17), "wait_for_replicas"),
        (
            RedisStore::builder("rediss://h").tls(TlsSettings::default().ca_file("/nowhere/ca.pem")),
            "tls.ca_file",
        ),
        (RedisStore::builder("redis://h").cluster(["nonsense://s3cret-of-redis"]), "nodes"),
    ] {
        let error = builder.lazy().unwrap_err();
        assert!(error.is_setting() && error.to_string().contains(setting), "{error}");
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
    let settings: RedisSettings = serde_json::from_str(r#"{"nodes": ["redis://h"]}"#).unwrap();
    let error = RedisStore::from_settings(&settings).await.unwrap_err();
    assert!(error.to_string().contains("nodes"), "{error}");
    assert!(serde_json::from_str::<RedisSettings>(r#"{"urls": []}"#).is_err());
}

#[tokio::test]
async fn tls_authenticates_both_sides() {
    let redis = Redis::start_with_tls().await;
    let authority = redis.authority();
    let trusting = TlsSettings::default().ca_file(authority.file("ca"));
    let builder = RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(20));
    let store = builder
        .clone()
        .tls(trusting.clone().client_certificate(authority.file("client"), authority.file("client-key")))
        .open()
        .await
        .unwrap();
    store_checks::a_failed_letter_replaces_the_old_one(&store).await;

    let stranger = Authority::new();
    let error =
        builder.clone().tls(TlsSettings::default().ca_file(stranger.file("ca"))).open().await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("certificate"), "{error}");
    // The server requires a client certificate.
    let error = builder.tls(trusting).open().await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let plain = redis.url().replace("rediss", "redis");
    assert!(RedisStore::open(plain).await.unwrap_err().is_unreachable());
}

/// Collects the texts of warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        if *event.metadata().level() == tracing::Level::WARN
            && event.metadata().target().starts_with("campanile")
        {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[tokio::test]
async fn one_warning_is_logged_for_a_server_that_may_lose_letters() {
    for (options, warning) in [
        (vec!["--appendonly", "no"], "does not write to disk"),
        (vec!["--appendonly", "no", "--save", "3600 1"], "last snapshot"),
        (vec!["--appendonly", "yes", "--appendfsync", "everysec"], "appendfsync"),
        (
            vec![
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--maxmemory",
                "1gb",
                "--maxmemory-policy",
                "allkeys-lru",
            ],
            "noeviction",
        ),
        (
            vec![
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--maxmemory",
                "1gb",
                "--maxmemory-policy",
                "volatile-lru",
            ],
            "keys with an expiry",
        ),
        (vec!["--appendonly", "yes", "--appendfsync", "always"], ""),
    ] {
        let redis = Redis::start_with(&options).await;
        let warnings = Warnings::default();
        let subscriber = tracing_subscriber::registry().with(warnings.clone());
        let _guard = tracing::subscriber::set_default(subscriber);
        let store =
            RedisStore::builder(redis.url()).response_timeout(Duration::from_secs(20)).open().await.unwrap();
        store_checks::put(&store, &entry(&"orders".into())).await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        store_checks::put(&store, &entry(&"orders".into())).await;
        let warned = warnings.0.lock().unwrap();
        assert_eq!(warned.len(), usize::from(!warning.is_empty()), "{warned:?}");
        assert!(warned.iter().all(|text| text.contains(warning)), "{warned:?}");
    }
}

/// A fake server that answers as an old Redis does.
#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4_096];
            while matches!(stream.read(&mut asked), Ok(read) if read > 0) {
                let info = "# Server\r\nredis_version:6.2.14\r\n";
                let _ = write!(stream, "${}\r\n{info}\r\n", info.len());
            }
        }
    });
    let error = RedisStore::open(format!("redis://{address}/")).await.unwrap_err().to_string();
    assert!(error.contains("6.2.14") && error.contains("7.0"), "{error}");
}
