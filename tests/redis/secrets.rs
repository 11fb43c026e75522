//! Property 24: redacted values are not in Redis, neither in a key nor on its disk.

use bytes::Bytes;
use campanile::dead_letter::LetterFilter;
use campanile::retry::ReplayBody;
use http::{Request, Response};
use http_body_util::Full;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::orders::queue;
use crate::support::redis::Redis;

const SECRETS: [&str; 5] = [
    "planted-in-a-header",
    "planted-in-the-query",
    "planted-in-the-body",
    "planted-in-an-error",
    "planted-in-a-cookie",
];

/// The contents of all keys.
fn keys(redis: &Redis) -> String {
    let mut all = String::new();
    for key in redis.cli(&["--scan"]).lines() {
        all += key;
        all += &match redis.cli(&["TYPE", key]).trim() {
            "hash" => redis.cli(&["HGETALL", key]),
            "zset" => redis.cli(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
            "list" => redis.cli(&["LRANGE", key, "0", "-1"]),
            "stream" => redis.cli(&["XRANGE", key, "-", "+"]),
            "string" => redis.cli(&["GET", key]),
            other => panic!("{key} is a {other}"),
        };
    }
    all
}

#[tokio::test]
async fn p24_no_secret_is_in_redis() {
    let redis = Redis::start().await;
    let queue = queue(&redis.url()).await;
    let service = queue.http_layer().layer(service_fn(|_: Request<ReplayBody>| async {
        Err::<Response<Full<Bytes>>, _>(BoxError::from("refused: token=planted-in-an-error"))
    }));
    let body = r#"{"user": "known-user", "password": "planted-in-the-body"}"#;
    let request = Request::post("http://shop.example/known-path?token=planted-in-the-query")
        .header("authorization", "Bearer planted-in-a-header")
        .header("cookie", "session=planted-in-a-cookie")
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    let error = service.oneshot(request).await.unwrap_err();
    assert!(error.to_string().contains("planted-in-an-error"), "the caller gets the unchanged error");
    assert_eq!(queue.len().await.unwrap(), 1);
    let in_keys = keys(&redis);
    queue.purge(LetterFilter::all().component("orders")).await.unwrap();

    let on_disk = redis.disk();
    let has = |haystack: &[u8], text: &str| haystack.windows(text.len()).any(|part| part == text.as_bytes());
    for known in ["known-path", "known-user"] {
        assert!(
            has(in_keys.as_bytes(), known) && has(&on_disk, known),
            "{known} is not found, so the search does not work"
        );
    }
    for secret in SECRETS {
        assert!(!has(in_keys.as_bytes(), secret), "{secret} is in a key: {in_keys}");
        assert!(!has(&on_disk, secret), "{secret} is on the disk");
    }
}
