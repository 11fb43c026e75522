//! With arbitrary requests of untrusted clients, the number of series, the length of each label and the length of the
//! scraped text are bounded.

#[path = "support/long.rs"]
mod long;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use campanile::{CallError, CircuitBreaker, Telemetry, Timing};
use fastrand::Rng;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};

type Body = Empty<bytes::Bytes>;

/// The number of calls of each kind: more than any limit.
const CALLS: usize = 3_000;

/// The maximum number of series of a metric: 1,000 times a few fixed attributes, and one for the rest.
const SERIES: usize = 2_001;

/// The maximum length of a label, in bytes.
const LONGEST: usize = 1_024;

/// A random text that is valid in a URI.
fn word(random: &mut Rng) -> String {
    let length = if random.u8(..) == 0 { random.usize(..3_000) } else { random.usize(1..40) };
    (0..length)
        .map(|_| char::from(*random.choice(b"abcdefghijklmnopqrstuvwxyz0123456789-._~%22").unwrap_or(&b'a')))
        .collect()
}

fn request(random: &mut Rng, number: usize) -> Request<Body> {
    let method = match random.u8(..4) {
        0 => Method::GET,
        1 => Method::POST,
        _ => Method::from_bytes(format!("X{number}").as_bytes()).unwrap(),
    };
    let uri = format!(
        "http://h{number}.{}:{}/{}/{}?{}",
        "a",
        random.u16(1..),
        word(random),
        word(random),
        word(random)
    );
    let version = *random.choice(&[Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]).unwrap();
    let header = HeaderValue::from_str(&word(random)).unwrap();
    let request = Request::builder().method(method).uri(uri).version(version);
    request.header("host", header.clone()).header("user-agent", header).body(Body::new()).unwrap()
}

/// A server that fails all requests, with various statuses.
async fn refuse(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let number = request.uri().path().len();
    let mut response = Response::new(Body::new());
    *response.status_mut() = [404, 405, 401, 429, 503][number % 5].try_into().unwrap();
    let code = HeaderValue::from_static(["12", "7", "16", "8", "14", "99", "x"][number % 7]);
    response.headers_mut().insert("grpc-status", code);
    Ok(response)
}

/// The series of each metric, and the values of each label.
fn read(text: &str) -> (BTreeMap<&str, usize>, BTreeMap<&str, BTreeSet<&str>>) {
    let (mut series, mut labels) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.chars().any(|c| c.is_control()), "{line:?}");
        let (name, rest) = line.split_once('{').unwrap_or((line, ""));
        // Of a histogram, only one line counts.
        if !name.ends_with("_bucket") {
            *series.entry(name.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
        for pair in rest.split("\",") {
            if let Some((label, value)) = pair.split_once("=\"") {
                let value = value.split("\"}").next().unwrap_or_default();
                assert!(value.len() <= LONGEST, "{label} has {} bytes", value.len());
                labels.entry(label).or_default().insert(value);
            }
        }
    }
    (series, labels)
}

#[tokio::test(start_paused = true)]
async fn labels_from_untrusted_requests_are_bounded() {
    let telemetry = Telemetry::builder("labels")
        .variables(|_| None)
        .prometheus()
        .configure(|settings| settings.span_metric_fields = ["tenant"].map(String::from).to_vec())
        .install()
        .unwrap();
    let timing = Timing::new("server");
    let clients = Timing::new("client");
    let keyed = CircuitBreaker::keyed("keyed", |key: &String| key.clone()).max_keys(1_000).build().unwrap();
    let refused = || service_fn(refuse);
    let mut random = Rng::with_seed(4_711);
    for number in 0..long::times(CALLS as u32, 30_000) as usize {
        let mut next = || request(&mut random, number);
        let requests = [next(), next(), next(), next()];
        let [one, two, three, four] = requests;
        timing.http_server_layer::<campanile::error::ByError>().layer(refused()).oneshot(one).await.unwrap();
        timing.grpc_server_layer::<campanile::error::ByError>().layer(refused()).oneshot(two).await.unwrap();
        clients
            .http_client_layer::<campanile::error::ByError>()
            .layer(refused())
            .oneshot(three)
            .await
            .unwrap();
        clients
            .grpc_client_layer::<campanile::error::ByError>()
            .layer(refused())
            .oneshot(four)
            .await
            .unwrap();
        let (name, component, tenant) = (word(&mut random), word(&mut random), word(&mut random));
        let span = tracing::info_span!("span", otel.name = %name, component = %component, tenant = %tenant);
        span.in_scope(|| tracing::error!(error.kind = %word(&mut random), "{}", word(&mut random)));
        drop(span);
        let failed: Result<(), CallError<String>> =
            keyed.call(word(&mut random), async { Err(word(&mut random)) }).await;
        drop(failed);
    }
    let text = telemetry.prometheus_text();
    let (series, labels) = read(&text);
    for (name, count) in &series {
        assert!(*count <= SERIES, "{name} has {count} series");
    }
    let values = |label: &str| labels.get(label).map_or(0, BTreeSet::len);
    // Labels of server metrics contain no values of a request, except known methods.
    assert!(values("http_request_method") <= 11, "{:?}", labels["http_request_method"]);
    assert_eq!(values("http_route"), 0);
    assert!(values("breaker") <= 3 && values("operation") <= 2, "{labels:?}");
    let methods = text.lines().filter(|line| line.starts_with("rpc_server")).filter_map(|line| {
        line.split_once("rpc_method=\"").map(|(_, rest)| rest.split('"').next().unwrap_or_default())
    });
    assert_eq!(
        methods.collect::<BTreeSet<_>>(),
        BTreeSet::from(["_OTHER"]),
        "unknown methods have no label of their own"
    );
    for label in ["server_address", "rpc_method", "component", "span_name", "tenant", "error_type"] {
        let count = values(label);
        assert!((1..=SERIES).contains(&count), "{label} has {count} values");
    }
    assert!(text.len() < 64 * 1024 * 1024, "{} bytes", text.len());
    telemetry.shutdown(Duration::from_secs(60));
}
