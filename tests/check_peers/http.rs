//! HTTP endpoints.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use campanile::TlsSettings;
use campanile::health::{Finding, HttpCheck, HttpCheckSettings};
use tokio::net::TcpListener;

use crate::server::{Act, Server};
use crate::{find, why};

const FINE: Act = Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

#[tokio::test]
async fn the_status_of_a_response_is_verified() {
    let app = Router::new()
        .route("/fine", get(async || "ok"))
        .route("/none", get(async || StatusCode::NO_CONTENT))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/moved", get(async || Redirect::temporary("/fine")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["/fine", "/none"] {
        assert_eq!(find(&HttpCheck::builder(format!("{base}{path}")).build().unwrap()).await, Finding::Pass);
        let head = HttpCheck::builder(format!("{base}{path}")).method(Method::HEAD).build().unwrap();
        assert_eq!(find(&head).await, Finding::Pass);
    }
    for (path, expected) in [
        ("/broken?key=hunter2", format!("GET {base}/broken: status 500 instead of 200-299")),
        ("/moved", format!("GET {base}/moved: status 307 instead of 200-299 (redirects are not followed)")),
        ("/nowhere", format!("GET {base}/nowhere: status 404 instead of 200-299")),
    ] {
        assert_eq!(why(find(&HttpCheck::builder(format!("{base}{path}")).build().unwrap()).await), expected);
    }
    let odd = HttpCheck::builder(format!("{base}/nowhere")).statuses([200, 404]).build().unwrap();
    assert_eq!(find(&odd).await, Finding::Pass);
    let odd = HttpCheck::builder(format!("{base}/fine")).statuses([204, 404, 205]).build().unwrap();
    assert_eq!(why(find(&odd).await), format!("GET {base}/fine: status 200 instead of 204-205 or 404"));
}

#[tokio::test]
async fn the_text_and_the_json_of_a_body_are_verified() {
    let green = r#"{"status": "green", "nodes": {"data": 3}, "late": false, "list": [1]}"#;
    let app = Router::new()
        .route("/json", get(move || async move { green }))
        .route("/text", get(async || "all is well"))
        .route(
            "/guarded",
            get(async |headers: HeaderMap| match headers.get("authorization") {
                Some(value) if value == "Bearer hunter2" => (StatusCode::OK, "in"),
                _ => (StatusCode::UNAUTHORIZED, "out"),
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let json = || HttpCheck::builder(format!("{base}/json"));
    let good = json().json("/status", "green").json("/nodes/data", 3).json("/late", false).json("/list/0", 1);
    assert_eq!(find(&good.clone().contains("green").build().unwrap()).await, Finding::Pass);
    for (pointer, wanted, words) in [
        ("/status", "yellow", "`/status` is \"green\" instead of \"yellow\""),
        ("/nodes/master", "1", "`/nodes/master` is missing; expected \"1\""),
        ("/nodes/data", "3", "`/nodes/data` is 3 instead of \"3\""),
    ] {
        let finding = find(&good.clone().json(pointer, wanted).build().unwrap()).await;
        assert!(why(finding).ends_with(words), "{words}");
    }
    let text = HttpCheck::builder(format!("{base}/text"));
    assert_eq!(find(&text.clone().contains("well").build().unwrap()).await, Finding::Pass);
    let finding = find(&text.clone().contains("ill").build().unwrap()).await;
    assert!(why(finding).ends_with("status 200, but its body of 11 bytes does not contain \"ill\""));
    let finding = find(&text.json("/a", 1).build().unwrap()).await;
    assert!(why(finding).contains("its body is not JSON"));

    let guarded = HttpCheck::builder(format!("{base}/guarded"));
    assert!(why(find(&guarded.clone().build().unwrap()).await).contains("status 401"));
    let named = guarded.header("Authorization", "Bearer hunter2").build().unwrap();
    assert_eq!(find(&named).await, Finding::Pass);
    assert!(!format!("{named:?}").contains("hunter2"));
}

#[tokio::test]
async fn every_run_opens_a_new_connection() {
    let server = Server::start(Act::Keep("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
    let check = HttpCheck::builder(server.url("/health?deep")).build().unwrap();
    for connections in 1..=3 {
        assert_eq!(find(&check).await, Finding::Pass);
        assert_eq!(server.connections(), connections);
    }
    let request = server.request();
    assert!(request.starts_with("get /health?deep http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", server.address)), "{request}");
    assert!(request.contains("user-agent: campanile/"), "{request}");
}

#[tokio::test]
async fn a_failure_names_its_cause() {
    let server = Server::start(FINE).await;
    let check =
        HttpCheck::builder(server.url("/?hunter2")).timeout(Duration::from_millis(500)).build().unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
    for (act, words) in [
        (Act::Reset, "no answer: "),
        (Act::Say(""), "no answer: connection closed before message completed"),
        (Act::Say("what is this?\r\n\r\n"), "no answer: invalid HTTP version parsed"),
        (
            Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
            "status 200, but its body broke off: ",
        ),
        (Act::HeadOnly, "status 200, but its body did not end within 500ms"),
        (Act::Endless, "status 200, but its body is longer than 65536 bytes (`longest_body`)"),
        (Act::Silence, "no answer within 500ms"),
    ] {
        server.now(act);
        let why = why(find(&check).await);
        assert!(why.starts_with(&format!("GET http://{}/: {words}", server.address)), "{act:?}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    // Earlier failures do not matter.
    server.now(FINE);
    assert_eq!(find(&check).await, Finding::Pass);
}

#[tokio::test]
async fn an_unreachable_endpoint_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refused = why(find(&HttpCheck::builder(format!("http://{gone}/")).build().unwrap()).await);
    assert!(refused.contains("cannot connect: tcp connect error: Connection refused"), "{refused}");
    let unknown = HttpCheck::builder("http://unknown.invalid/").timeout(Duration::from_secs(30));
    let unknown = why(find(&unknown.build().unwrap()).await);
    assert!(unknown.contains("cannot connect: dns error: "), "{unknown}");
}

#[test]
fn invalid_settings_are_refused() {
    let url = "http://a/";
    let refused = |builder: HttpCheckSettings| builder.build().unwrap_err().to_string();
    for (error, words) in [
        (refused(HttpCheck::builder("http://a:hunter2@b/")), "setting `url`"),
        (refused(HttpCheck::builder("")), "setting `url`"),
        (
            refused(HttpCheck::builder(url).statuses([])),
            "setting `statuses` of the check of `http://a/` cannot be []",
        ),
        (
            refused(HttpCheck::builder(url).statuses([20])),
            "setting `statuses` of the check of `http://a/` cannot be [20]",
        ),
        (
            refused(HttpCheck::builder(url).method(Method::HEAD).contains("a")),
            "setting `method` of the check of `http://a/` cannot be HEAD",
        ),
        (
            refused(HttpCheck::builder(url).method(Method::POST)),
            "setting `method` of the check of `http://a/` cannot be POST",
        ),
        (
            refused(HttpCheck::builder(url).json("status", "a")),
            "setting `json` of the check of `http://a/` cannot be \"status\"",
        ),
        (
            refused(HttpCheck::builder(url).timeout(Duration::ZERO)),
            "setting `timeout` of the check of `http://a/` cannot be 0ns",
        ),
        (
            refused(HttpCheck::builder(url).longest_body(1 << 30)),
            "setting `longest_body` of the check of `http://a/` cannot",
        ),
        (
            refused(HttpCheck::builder(url).header("a b", "c")),
            "setting `headers` of the check of `http://a/` cannot be \"a b\"",
        ),
        (
            refused(HttpCheck::builder(url).header("a", "hunter2\n")),
            "setting `headers` of the check of `http://a/` cannot be (not shown)",
        ),
        (
            refused(HttpCheck::builder(url).tls(TlsSettings::default().ca_file("/hunter"))),
            "setting `tls.ca_file` of the check of `http://a/` cannot be /hunter",
        ),
    ] {
        assert!(error.starts_with(words) && !error.contains("hunter2"), "{error}");
    }
    if !cfg!(feature = "tls") {
        assert!(refused(HttpCheck::builder("https://a/")).contains("needs the feature `tls`"));
    }
}

#[test]
fn settings_are_read_from_files() {
    let text = r#"{
        "url": "http://a/b", "method": "HEAD", "headers": {"token": "hunter2"}, "statuses": [204, "300-399"],
        "longest_body": 10, "timeout": "250ms"
    }"#;
    let settings: HttpCheckSettings = serde_json::from_str(text).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!([204, 300, 399].iter().all(|status| settings.statuses.contains(status)));
    assert!(!settings.statuses.contains(&200) && !settings.statuses.contains(&400));
    let again: HttpCheckSettings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    assert!(HttpCheck::from_settings(&settings).is_ok());
    for text in [
        r#"{"urls": ""}"#,
        r#"{"statuses": ["2xx"]}"#,
        r#"{"statuses": ["300-200"]}"#,
        r#"{"method": "POST"}"#,
    ] {
        assert!(serde_json::from_str::<HttpCheckSettings>(text).is_err(), "{text}");
    }
}
