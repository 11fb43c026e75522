//! Property 24 on disk: the raw files, with the log of the database, are searched for named secrets.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use campanile::dead_letter::{LetterFilter, SpillSettings};
use campanile::retry::ReplayBody;
use campanile::{Backoff, DeadLetterQueue, Retry};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::support::{Mood, MoodyStore, bytes};

/// Part of every secret, and of nothing else.
const PLANTED: &[u8] = b"planted";

fn request(content_type: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post("http://me:planted-user@host/pay?access_token=planted-query&x=1")
        .header("authorization", "Bearer planted-bearer")
        .header("cookie", "sid=planted-cookie")
        .header("x-api-key", "planted-key")
        .header("referer", "http://other/?token=planted-referer")
        .header("x-request-id", "password=planted-correlation")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("content-type", content_type)
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

const BODIES: [(&str, &str); 6] = [
    ("application/json", r#"{"marker": 1, "password": "planted-json", "a": [{"api_key": "planted-deep"}]}"#),
    ("application/vnd.shop+json", r#"{"marker": 1, "secret": "planted-json", "raw": "token=planted-inner"}"#),
    ("application/x-www-form-urlencoded", "marker=1&password=planted-form&x=2"),
    (
        "multipart/form-data; boundary=x",
        "--x\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\nplanted-part\r\n--x--",
    ),
    ("text/plain", "marker token=planted-text and https://me:planted-url@host/"),
    ("application/octet-stream", "marker password: planted-octets"),
];

/// Sends every body to a service that fails three times and quotes a different secret each time.
async fn plant(queue: &DeadLetterQueue) {
    let pause = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(1));
    let retry = Retry::builder().max_attempts(3).backoff(pause).retry_non_idempotent(true).build().unwrap();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let stack = ServiceBuilder::new().layer(queue.http_layer()).layer(retry.http_layer()).service_fn(
        move |request: Request<ReplayBody>| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                let inner = std::io::Error::other("secret=planted-cause");
                let message = format!("call {call} to {} with password=planted-message", request.uri());
                Err::<Response<Empty<Bytes>>, BoxError>(Wrapped(message, inner).into())
            }
        },
    );
    for (content_type, body) in BODIES {
        stack.clone().oneshot(request(content_type, body)).await.unwrap_err();
    }
    // A trailer is searched like a header.
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-auth-token", "planted-trailer".parse().unwrap());
    let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from("marker"))), Ok(Frame::trailers(trailers))];
    let (head, _) = request("text/plain", "").into_parts();
    let body = StreamBody::new(tokio_stream::iter(frames));
    stack.oneshot(Request::from_parts(head, body)).await.unwrap_err();
}

#[derive(Debug)]
struct Wrapped(String, std::io::Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

/// Asserts that the files of `folder` hold letters and no secret.
#[track_caller]
fn assert_clean(folder: &Path) {
    let (mut marked, mut files) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        // The last connection removes the log and its index, on its own thread.
        let Some(bytes) = bytes(&path) else { continue };
        if let Some(at) = bytes.windows(PLANTED.len()).position(|window| window == PLANTED) {
            let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
            panic!("{}: {}", path.display(), String::from_utf8_lossy(around));
        }
        marked += bytes.windows(6).filter(|window| window == b"marker").count();
        files.push(path);
    }
    assert!(marked >= BODIES.len() - 1, "the letters are there: {marked} in {files:?}");
}

#[tokio::test]
async fn p24_no_secret_is_in_the_file_or_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue =
        DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30)).sqlite(&path).await.unwrap();
    plant(&queue).await;
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), BODIES.len() + 1);
    for letter in &letters {
        assert_eq!(letter.correlation_id.as_deref(), Some("password=[redacted]"));
        assert_eq!(
            (letter.attempts.len(), letter.causes.as_slice()),
            (3, &["secret=[redacted]".to_owned()][..])
        );
        assert!(letter.unsendable.is_some());
    }
    assert_clean(folder.path());
    drop(queue);
    // After the log was written back into the file.
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_clean(folder.path());
}

#[tokio::test]
async fn p24_no_secret_is_in_the_spill() {
    let folder = tempfile::tempdir().unwrap();
    let queue = DeadLetterQueue::builder("orders")
        .park_timeout(Duration::from_secs(30))
        .spill(SpillSettings::new(folder.path().join("spill.db")))
        .open(MoodyStore::new(Mood::Fails))
        .await
        .unwrap();
    plant(&queue).await;
    assert_eq!(queue.snapshot().parked, BODIES.len() as u64 + 1);
    assert_clean(folder.path());
}
