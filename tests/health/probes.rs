//! The probes over HTTP, with axum and hyper.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use campanile::CircuitBreaker;
use campanile::health::{Component, Every, Health};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

async fn send(health: &Health, method: Method, path: &str) -> Response<Bytes> {
    let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap();
    let (head, body) = health.http_service().verbose(true).oneshot(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

pub(crate) async fn get_json(health: &Health, path: &str) -> (StatusCode, Value) {
    let response = send(health, Method::GET, path).await;
    assert_eq!(response.headers()["content-type"], "application/health+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status(), serde_json::from_slice(response.body()).unwrap())
}

/// Health with a failing critical component.
fn failing(name: &str) -> (Health, CircuitBreaker) {
    let health = Health::standalone();
    health.register(Component::new(name).critical(true)).unwrap();
    let breaker = CircuitBreaker::builder(name).build().unwrap();
    breaker.force_open();
    (health, breaker)
}

#[tokio::test]
async fn p52_liveness_never_depends_on_others() {
    let (health, _breaker) = failing("dead-dependency");
    health.drain();
    let (status, json) = get_json(&health, "/livez").await;
    assert_eq!((status, &json["status"]), (StatusCode::OK, &"pass".into()));
}

#[tokio::test]
async fn p52_readiness_is_503_and_names_the_missing_component() {
    let (health, breaker) = failing("missing-db");
    let (status, json) = get_json(&health, "/readyz").await;
    assert_eq!((status, &json["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"fail".into()));
    assert_eq!(json["missing"][0]["component"], "missing-db");
    assert_eq!(json["output"], "`missing-db` is unhealthy");
    let json = get_json(&health, "/readyz?verbose").await.1;
    assert_eq!(json["output"], "`missing-db` is unhealthy: an operator forced the circuit open");

    breaker.force_closed();
    health.register(Component::new("missing-db").critical(true)).unwrap();
    let (status, json) = get_json(&health, "/readyz").await;
    assert_eq!((status, &json["status"]), (StatusCode::OK, &"pass".into()));

    health.drain();
    let (status, json) = get_json(&health, "/readyz").await;
    assert_eq!((status, &json["draining"]), (StatusCode::SERVICE_UNAVAILABLE, &true.into()));
    assert_eq!(json["output"], "the process is shutting down");
}

#[tokio::test]
async fn verbose_adds_details() {
    let (health, _breaker) = failing("verbose-details");
    let (status, brief) = get_json(&health, "/healthz").await;
    assert_eq!((status, &brief["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"fail".into()));
    assert_eq!(brief["health"], "unhealthy");
    assert!(brief["output"].as_str().unwrap().contains("`verbose-details` is unhealthy"));
    assert!(brief.get("checks").is_none());
    assert_eq!(get_json(&health, "/healthz?verbose=false").await.1, brief);

    for path in ["/healthz?verbose", "/healthz?a=b&verbose=1"] {
        let (_, json) = get_json(&health, path).await;
        let check = &json["checks"]["verbose-details:score"][0];
        assert_eq!((&check["status"], &check["observedValue"]), (&"fail".into(), &0.25.into()));
        assert_eq!(check["reasons"][0]["kind"], "circuit_forced_open");
    }
}

#[tokio::test]
async fn p52_readiness_names_the_root_cause() {
    let health = Health::standalone();
    health.register(Component::new("rooted-shop").critical(true).depends_on("rooted-payments")).unwrap();
    health.register(Component::new("rooted-payments").depends_on("rooted-db")).unwrap();
    let breakers =
        ["rooted-shop", "rooted-payments"].map(|name| CircuitBreaker::builder(name).build().unwrap());
    breakers.iter().for_each(CircuitBreaker::force_open);
    let refused = || async { Err::<(), _>("connection refused") };
    health.check("rooted-db", Every::seconds(30), refused).unwrap().run().await;

    let (code, json) = get_json(&health, "/readyz?verbose").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json["missing"].as_array().unwrap().len(), 1, "the others are not critical");
    assert_eq!(json["missing"][0]["component"], "rooted-shop");
    assert_eq!(json["missing"][0]["because_of"], json!(["rooted-db"]));
    assert_eq!(
        json["output"],
        "`rooted-shop` is unhealthy: an operator forced the circuit open (because of `rooted-db`)"
    );
    assert_eq!(get_json(&health, "/healthz?verbose").await.1["rootCauses"], json!(["rooted-db"]));
    for path in ["/readyz", "/healthz"] {
        let (code, json) = get_json(&health, path).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        let (missing, causes) = (&json["missing"][0], json.get("rootCauses"));
        assert!(missing.get("because_of").is_none() && causes.is_none(), "{json}");
    }
    assert_eq!(get_json(&health, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn messages_of_checks_are_in_verbose_answers_only() {
    let health = Health::standalone();
    health.register(Component::new("secretive-db").critical(true)).unwrap();
    let fails = || async { Err::<(), _>("table `salaries` is missing") };
    let check = health.check("secretive-db", Every::seconds(30), fails).unwrap();
    check.run().await;
    health.check_named("secretive-db", "pool", Every::seconds(30), || async {}).unwrap().run().await;

    for path in ["/readyz", "/healthz", "/startupz", "/readyz?verbose=0"] {
        let (code, json) = get_json(&health, path).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(!json.to_string().contains("salaries"), "{path}: {json}");
    }
    let (_, json) = get_json(&health, "/readyz").await;
    assert_eq!(json["output"], "still starting: `secretive-db`; `secretive-db` is unhealthy");
    for path in ["/readyz?verbose", "/healthz?verbose"] {
        let (_, json) = get_json(&health, path).await;
        let check = &json["checks"]["secretive-db:check"][0];
        assert_eq!((&check["status"], &check["outcome"]), (&"fail".into(), &"fail".into()), "{path}");
        assert_eq!(check["output"], "table `salaries` is missing");
        assert_eq!((&check["runs"], &check["timeout"]), (&1.into(), &5.0.into()));
        assert!(check["observedValue"].is_f64() && check["observedUnit"] == "s");
        let time = check["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        let pool = &json["checks"]["secretive-db:pool"][0];
        assert_eq!((&pool["status"], pool.get("output")), (&"pass".into(), None));
        let score = &json["checks"]["secretive-db:score"][0];
        assert!(score["output"].as_str().unwrap().contains("salaries"), "{score}");
    }
    let (_, json) = get_json(&health, "/readyz?verbose").await;
    assert!(json["missing"][0]["reasons"][0].as_str().unwrap().contains("salaries"));

    // Without `verbose(true)` in the code, no request gets details.
    let mut service = health.http_service();
    for path in ["/readyz?verbose", "/healthz?verbose", "/startupz?verbose"] {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let body = service.call(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json, get_json(&health, path.split('?').next().unwrap()).await.1);
        for word in ["checks", "reasons", "because", "fails"] {
            assert!(!json.to_string().contains(word), "{path}: {json}");
        }
    }
}

#[tokio::test]
async fn other_paths_get_404_and_other_methods_405() {
    let health = Health::standalone();
    for path in ["/", "/livez/", "/LIVEZ", "/metrics"] {
        assert_eq!(get_json(&health, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = send(&health, method, "/readyz").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }
    let head = send(&health, Method::HEAD, "/livez").await;
    assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    assert_eq!(head.headers()["content-length"], "17");
}

#[tokio::test]
async fn the_service_works_with_axum_and_hyper() {
    let (health, _breaker) = failing("behind-axum");
    let routed = Router::new()
        .route("/", get(|| async { "hello" }))
        .route_service("/readyz", health.http_service())
        .nest_service("/internal", health.http_service())
        .nest(
            "/deep",
            Router::new().nest("/er", Router::new().route_service("/readyz", health.http_service())),
        );
    let fallback =
        Router::new().route("/", get(|| async { "hello" })).fallback_service(health.http_service());
    for (app, path, expected) in [
        (&routed, "/readyz", 503),
        (&routed, "/internal/readyz", 503),
        (&routed, "/internal/livez", 200),
        (&routed, "/deep/er/readyz", 503),
        (&fallback, "/readyz", 503),
        (&fallback, "/nowhere", 404),
        (&fallback, "/", 200),
    ] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
    }

    // A hyper server without axum, a real client, and HEAD requests.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = health.http_service();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| service.clone().call(request));
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    for (method, path, expected) in
        [(Method::GET, "livez", 200), (Method::HEAD, "livez", 200), (Method::GET, "readyz", 503)]
    {
        let uri = format!("http://{address}/{path}");
        let request = Request::builder().method(&method).uri(uri).body(Empty::<Bytes>::new()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), expected);
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), if method == Method::HEAD { 0 } else { length });
    }
    server.abort();
}
