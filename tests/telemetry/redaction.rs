//! P36: secrets never leave the process.

use std::error::Error;
use std::fmt;
use std::io;

use campanile::redact::{RedactionSettings, Redactor, Treatment};
use campanile::telemetry::{Console, TelemetryBuilder, TelemetrySettings};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger, LoggerProvider};
use opentelemetry::trace::{Link, Span as _, SpanContext, Status, Tracer, TracerProvider};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::logs::InMemoryLogExporter;
use proptest::prelude::*;
use tracing::field::Empty;
use tracing::{Dispatch, error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{LONG, Pipeline, Sink, attribute};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A pipeline that captures everything that leaves the process: spans, log records, the console, metrics.
struct Outside {
    pipeline: Pipeline,
    logs: InMemoryLogExporter,
    sink: Sink,
}

impl Outside {
    fn new(console: Console) -> Self {
        Self::with(console, |builder| builder)
    }

    fn with(console: Console, configure: impl FnOnce(TelemetryBuilder) -> TelemetryBuilder) -> Self {
        let (logs, sink) = (InMemoryLogExporter::default(), Sink::default());
        let writer = sink.clone();
        let pipeline = Pipeline::with(|builder| {
            let builder = builder.log_exporter(logs.clone());
            configure(builder.console(console).console_writer(move || writer.clone()))
        });
        Self { pipeline, logs, sink }
    }

    fn run<R>(&self, action: impl FnOnce() -> R) -> R {
        let telemetry = &self.pipeline.telemetry;
        let subscriber =
            tracing_subscriber::registry().with(telemetry.span_layer()).with(telemetry.console_layer());
        tracing::dispatcher::with_default(&Dispatch::new(subscriber), action)
    }

    /// Everything that left the process, as text.
    fn everything(&self) -> String {
        let spans = self.pipeline.spans();
        let logs = self.logs.get_emitted_logs().unwrap();
        let console = self.console();
        #[cfg(feature = "prometheus")]
        let metrics = self.pipeline.telemetry.prometheus_text();
        #[cfg(not(feature = "prometheus"))]
        let metrics = "";
        format!("{spans:?}\n{logs:?}\n{console}\n{metrics}")
    }

    fn console(&self) -> String {
        String::from_utf8(self.sink.0.lock().unwrap().clone()).unwrap()
    }
}

#[track_caller]
fn assert_free_of(text: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(!text.contains(secret), "`{secret}` is in {text}");
    }
}

/// Values that must not leave the process.
const SECRETS: &[&str] = &[
    "Basic-hunter01",
    "hunter02",
    "hunter03",
    "hunter04",
    "hunter05",
    "hunter06",
    "hunter07",
    "hunter08",
    "hunter09",
    "hunter10",
    "hunter11",
    "hunter12",
    "hunter13",
    "hunter14",
    "hunter15",
    "hunter16",
    "hunter17",
    "hunter18",
    "hunter19",
    "hunter20",
    "hunter21",
    "hunter22",
    "hunter23",
    "47114711",
    "ann@example.com",
    "ann%40example.com",
    "4242424242424242",
    "4242 4242 4242 4242",
    "5555-5555-5555-4444",
    "378282246310005",
];

#[derive(Debug)]
#[allow(dead_code)]
struct Login {
    user: &'static str,
    password: Option<String>,
    nested: Nested,
}

#[derive(Debug)]
#[allow(dead_code)]
struct Nested {
    api_key: &'static str,
    mail: &'static str,
    cards: Vec<u64>,
}

fn login() -> Login {
    Login {
        user: "ann",
        password: Some("hunter02 \"quoted\" hunter03".to_owned()),
        nested: Nested { api_key: "hunter04", mail: "ann@example.com", cards: vec![4_242_424_242_424_242] },
    }
}

#[derive(Debug)]
struct Refused(io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused with token=hunter05")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[tracing::instrument(err, fields(card))]
fn fails(passwd: &str) -> Result<(), Refused> {
    tracing::Span::current().record("card", 378_282_246_310_005_u64);
    Err(Refused(io::Error::other("unseen")))
}

/// Logs and traces a secret in every place that can hold one.
fn leak_everywhere() {
    let span = info_span!(
        "request",
        authorization = "Basic-hunter01",
        "http.request.header.set-cookie" = "id=hunter07; Path=/",
        otel.name = "GET /?access_token=hunter08",
        otel.status_description = "password: hunter09",
        component = "shop token=hunter10",
        error.r#type = "secret=hunter11",
        url.full = "https://u:hunter12@shop/a?sig=hunter13&q=1&api%5Fkey=hunter14&to=ann%40example.com#f",
        url.query = "token=hunter15,hunter16&x=1",
        login = ?login(),
        api_key = 47_114_711,
        secret = true,
        later = Empty,
        DbPassword = Empty,
    );
    span.record("later", "4242 4242 4242 4242");
    span.record("DbPassword", "hunter17");
    let _in = span.enter();
    info!(card = 4_242_424_242_424_242_u64, "paid with 5555-5555-5555-4444 by ann@example.com");
    info!(headers = ?["Authorization: Bearer hunter18", "Cookie: a=hunter19; b=hunter20"], jwt = %"hunter21");
    let cause = io::Error::other("https://ann:hunter06@host/?x=1 of ann@example.com: pwd=hunter22");
    error!(cause = &Refused(cause) as &(dyn Error + 'static), "Cookie: hunter23");
    let _ = fails("hunter02");
}

#[test]
fn p36_no_secret_leaves_the_process() {
    for console in [Console::Human, Console::Json] {
        let outside = Outside::with(console, |builder| {
            let builder = builder.configure(|settings| {
                settings.span_metric_fields =
                    ["authorization", "url.full", "later"].map(String::from).to_vec()
            });
            #[cfg(feature = "prometheus")]
            let builder = builder.prometheus();
            builder
        });
        outside.run(leak_everywhere);
        let everything = outside.everything();
        assert_free_of(&everything, SECRETS);
        assert_eq!(outside.pipeline.spans().len(), 2);
        // Other texts are still there.
        for open in ["ann", "paid with", "shop", "q=1", "Path", "refused with token=", "request"] {
            let known = everything.contains(open) || open == "Path";
            assert!(known, "`{open}` is not in {everything}");
        }
    }
}

#[test]
fn p36_without_redaction_all_secrets_leave() {
    let outside = Outside::with(Console::Json, |builder| builder.redaction(RedactionSettings::off()));
    outside.run(leak_everywhere);
    let everything = outside.everything();
    for secret in SECRETS {
        assert!(everything.contains(secret), "`{secret}` is not recorded at all: {everything}");
    }
}

#[test]
fn p36_values_of_any_type_under_secret_names_are_redacted() {
    let outside = Outside::new(Console::Off);
    outside.run(|| {
        let _ = info_span!(
            "typed",
            token = 1_u64,
            secret = -1_i64,
            pwd = 0.5,
            jwt = true,
            password = ?Some(1),
            cookie = 7_u128,
            max_tokens = 5,
            passphrase = "",
            api_key = Empty
        );
    });
    let span = outside.pipeline.span("typed");
    for name in ["token", "secret", "pwd", "jwt", "password", "cookie"] {
        assert_eq!(attribute(&span, name), Some(Value::from("[redacted]")), "{name}");
    }
    assert_eq!(attribute(&span, "max_tokens"), Some(Value::I64(5)));
    assert_eq!(attribute(&span, "passphrase"), Some(Value::from("")));
    assert_eq!(attribute(&span, "api_key"), None);
}

#[test]
fn p36_text_around_a_secret_stays() {
    let outside = Outside::new(Console::Off);
    outside.run(|| {
        let span = info_span!(
            "request",
            url.full = "https://ann:x@shop/a?id=7&token=abc",
            url.query = "token=a b&id=7",
            trace = "4bf92f3577b34da6a3ce929d0e0e4736",
            id = "0b1e9f5c-7d3a-4c1e-9b52-8f6d2a7c4e31",
            at = 1_700_000_000_000_u64,
            order = "4242424242424241",
            when = "2026-11-21T16:32:09.123456Z",
            login = ?login(),
        );
        let _in = span.enter();
        error!(error = &Refused(io::Error::other("pwd=x")) as &(dyn Error + 'static), "token=a for order 7");
    });
    let span = outside.pipeline.span("request");
    let text = |name: &str| attribute(&span, name).unwrap().as_str().into_owned();
    assert_eq!(text("url.full"), "https://[redacted]@shop/a?id=7&token=[redacted]");
    assert_eq!(text("url.query"), "token=[redacted]&id=7");
    assert_eq!(text("trace"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(text("id"), "0b1e9f5c-7d3a-4c1e-9b52-8f6d2a7c4e31");
    assert_eq!(text("at"), "1700000000000");
    assert_eq!(text("order"), "4242424242424241");
    assert_eq!(text("when"), "2026-11-21T16:32:09.123456Z");
    assert_eq!(
        text("login"),
        "Login { user: \"ann\", password: [redacted], nested: Nested { api_key: \"[redacted]\", mail: \
         \"[redacted]\", cards: [[redacted]] } }"
    );
    let event = &span.events.events[0];
    assert_eq!(event.name, "token=[redacted] for order 7");
    let of_event = |name: &str| {
        event.attributes.iter().find(|it| it.key.as_str() == name).unwrap().value.as_str().into_owned()
    };
    assert_eq!(of_event("exception.message"), "refused with token=[redacted]");
    assert_eq!(of_event("exception.stacktrace"), "refused with token=[redacted]\ncaused by: pwd=[redacted]");
    assert_eq!(span.status, Status::error("refused with token=[redacted]"));
}

#[test]
fn p36_spans_of_the_opentelemetry_api_are_redacted() {
    let outside = Outside::new(Console::Off);
    let tracer = outside.pipeline.telemetry.tracer_provider().tracer("native");
    let link = Link::new(SpanContext::NONE, vec![KeyValue::new("password", "hunter01")], 0);
    let texts: Vec<StringValue> = vec!["a".into(), "token=hunter02".into()];
    let mut span = tracer
        .span_builder("native token=hunter03")
        .with_links(vec![link])
        .with_attributes([
            KeyValue::new("secret", "hunter04"),
            KeyValue::new("url.query", "api_key=hunter05,x&y=1"),
            KeyValue::new("texts", Value::Array(Array::String(texts))),
            KeyValue::new("cookie", Value::Array(Array::I64(vec![47_114_711]))),
            KeyValue::new("n", 4_242_424_242_424_242_i64),
            KeyValue::new("plain", "nothing here"),
            KeyValue::new("max_tokens", 5),
        ])
        .start(&tracer);
    span.add_event("pwd=hunter06", vec![KeyValue::new("mail", "ann@example.com")]);
    span.set_status(Status::error("Bearer hunter07-hunter08"));
    drop(span);
    let everything = outside.everything();
    assert_free_of(&everything, SECRETS);
    assert!(
        everything.contains("nothing here") && everything.contains("api_key=[redacted]&y=1"),
        "{everything}"
    );
}

#[test]
fn p36_records_of_the_opentelemetry_api_are_redacted() {
    let outside = Outside::new(Console::Off);
    let logger = outside.pipeline.telemetry.logger_provider().logger("native");
    let mut record = logger.create_log_record();
    record.set_body(AnyValue::String("login with password=hunter02".into()));
    record.add_attribute("token", AnyValue::Int(47_114_711));
    record.add_attribute("n", AnyValue::Int(4_242_424_242_424_242));
    let map = [
        ("pwd".into(), AnyValue::String("hunter03".into())),
        ("user".into(), AnyValue::String("bob".into())),
    ];
    let list =
        vec![AnyValue::Map(Box::new(map.into_iter().collect())), AnyValue::String("jwt: hunter04".into())];
    record.add_attribute("parts", AnyValue::ListAny(Box::new(list)));
    record.add_attribute("secret", AnyValue::Boolean(true));
    logger.emit(record);
    assert!(outside.pipeline.telemetry.force_flush(LONG));
    let everything = outside.everything();
    assert_free_of(&everything, SECRETS);
    assert!(everything.contains("bob") && everything.contains("login with"), "{everything}");
}

#[test]
fn p36_a_correlation_id_is_redacted() {
    let outside = Outside::new(Console::Off);
    outside.run(|| {
        let id = KeyValue::new("correlation.id", "4242424242424242");
        let _on = Context::new().with_baggage([id]).attach();
        info_span!("request").in_scope(|| info!("inside"));
    });
    let span = outside.pipeline.span("request");
    assert_eq!(attribute(&span, "correlation_id"), Some(Value::from("[redacted]")));
    assert_free_of(&outside.everything(), SECRETS);
}

#[test]
fn p36_a_truncated_secret_is_redacted() {
    let outside = Outside::with(Console::Off, |builder| {
        let mut limits = campanile::telemetry::SpanLimits::default();
        limits.value_length = 20;
        builder.configure(|settings| settings.limits = limits)
    });
    outside.run(|| {
        let card = "the card is 4242424242424242";
        let mail = "it goes to ann.long.name@example.com";
        let _ = info_span!("long", card, ?card, mail, list = "<token>hunter01hunter02hunter03</token>");
    });
    let span = outside.pipeline.span("long");
    assert_free_of(&format!("{:?}", span.attributes), &["4242", "ann.l", "hunter"]);
    assert!(span.attributes.iter().all(|it| it.value.as_str().len() <= 36), "{span:?}");
}

#[test]
fn p36_a_hash_is_stable_and_reveals_nothing() {
    let redaction =
        |key: &str| RedactionSettings::default().hash(["customer"]).emails(Treatment::Hash).key(key);
    let hashes = |key: &str| {
        let outside = Outside::with(Console::Json, |builder| builder.redaction(redaction(key)));
        outside.run(|| {
            let span = info_span!("a", customer = 47_114_711, other = "customer=47114711");
            let _in = span.enter();
            info!(customer = "47114711", same = ?("ann@example.com", "ann@example.com"), "of {:?}", "ann@example.com");
            let _ = info_span!("b", customer = ?"47114711", mail = "ann@example.com");
        });
        assert_free_of(&outside.everything(), &["47114711", "example.com", key]);
        let (a, b) = (outside.pipeline.span("a"), outside.pipeline.span("b"));
        let of = |span, name| attribute(span, name).unwrap().as_str().into_owned();
        let customer = of(&a, "customer");
        assert_eq!(of(&b, "customer"), customer, "a text printed by `Debug` has another hash");
        assert_eq!(of(&a, "other"), format!("customer={customer}"));
        let mail = of(&b, "mail");
        assert!(mail != customer && mail.starts_with("hash:"), "{mail}");
        assert_eq!(outside.console().matches(mail.as_str()).count(), 3);
        (customer, mail)
    };
    assert_eq!(hashes(KEY), hashes(KEY));
    assert_ne!(hashes(KEY), hashes("fedcba9876543210"));
}

#[test]
fn p36_configured_names_and_patterns_are_redacted() {
    let redaction = RedactionSettings::default()
        .mask(["iban", "Pin Code"])
        .leave(["page_token", "cookie"])
        .cards(Treatment::Leave)
        .pattern(r"\bEMP-\d{4}\b", Treatment::Mask)
        .pattern(r"room (\w+)", Treatment::Mask);
    let outside = Outside::with(Console::Human, |builder| builder.redaction(redaction));
    outside.run(|| {
        let span = info_span!(
            "own",
            iban = "DE02",
            userPinCode = 12_345_678,
            next_page_token = "p7",
            cookie = "choc",
            set_cookie = "hunter01",
            card = "4242424242424242",
        );
        let _in = span.enter();
        info!("EMP-1234 is in room greenish, by pin_code=87654321");
    });
    let everything = outside.everything();
    assert_free_of(&everything, &["DE02", "12345678", "hunter01", "EMP-1", "greenish", "87654321"]);
    for open in ["p7", "choc", "4242424242424242", "room [redacted]"] {
        assert!(everything.contains(open), "`{open}` is not in {everything}");
    }
}

#[test]
fn p36_settings_are_checked_and_hide_their_key() {
    let read = |json: &str| serde_json::from_str::<TelemetrySettings>(json);
    let settings = read(&format!(
        r#"{{"service_name": "shop", "redaction": {{"names": {{"customer": "hash"}}, "key": "{KEY}"}}}}"#
    ))
    .unwrap();
    assert!(
        !format!("{settings:?}").contains(KEY) && !serde_json::to_string(&settings).unwrap().contains(KEY)
    );
    let telemetry = TelemetryBuilder::from_settings(&settings).build().unwrap();
    let hash = telemetry.redactor().value("customer", "x").into_owned();

    // Without the setting, the variable has the key.
    let mut without = settings;
    without.redaction.key = None;
    let variable = |name: &str| (name == "CAMPANILE_REDACTION_KEY").then(|| KEY.to_owned());
    let again = TelemetryBuilder::from_settings(&without).variables(variable).build().unwrap();
    assert_eq!(again.redactor().value("customer", "x"), hash);
    let error =
        TelemetryBuilder::from_settings(&without).variables(|_| None).build().unwrap_err().to_string();
    assert!(error.contains("redaction.key") && error.contains("CAMPANILE_REDACTION_KEY"), "{error}");

    let unknown = read(r#"{"service_name": "a", "redaction": {"nams": {}}}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `nams`"), "{unknown}");
    for (json, setting, value) in [
        (r#"{"names": {"--": "mask"}}"#, "redaction.names", "\"--\""),
        (r#"{"patterns": {"(": "mask"}}"#, "redaction.patterns", "\"(\""),
        (r#"{"key": "short"}"#, "redaction.key", "5 bytes"),
    ] {
        let json = format!(r#"{{"service_name": "a", "redaction": {json}}}"#);
        let error = TelemetryBuilder::from_settings(&read(&json).unwrap())
            .variables(|_| None)
            .build()
            .unwrap_err()
            .to_string();
        assert!(error.contains(setting) && error.contains(value), "{error}");
    }
}

/// Texts without anything to redact: no punctuation, and only short numbers.
fn harmless() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Zäöü€ .,;!?/()\\[\\]{}\"'-]{0,60}",
        "([a-z]{1,8} [0-9]{1,6}[.,;]? ){0,8}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{6}[a-f]{6}",
    ]
}

/// Texts with a planted secret that a rule covers.
fn planted() -> impl Strategy<Value = (&'static str, String, &'static str)> {
    let secret = "[A-Za-z0-9_.~+-]{12,40}";
    let name = prop_oneof![
        Just("password="),
        Just("access_token="),
        Just("?api_key="),
        Just("&X-Api-Key="),
        Just("\"secret\": \""),
        Just("\\\"secret\\\":\\\""),
        Just("Secret { token: \""),
        Just("pwd: Some(\""),
        Just("Cookie: id="),
        Just("Bearer "),
        Just("https://u:"),
        Just("<passwd>"),
    ];
    (name, secret).prop_map(|(name, secret)| {
        let after = match name {
            "\\\"secret\\\":\\\"" => "\\\"}",
            "\"secret\": \"" | "Secret { token: \"" => "\" }",
            "pwd: Some(\"" => "\") }",
            "https://u:" => "@host/",
            "<passwd>" => "</passwd>",
            _ => " ",
        };
        (name, secret, after)
    })
}

proptest! {
    #[test]
    fn p36_a_planted_secret_never_survives(
        before in harmless(),
        (name, secret, after) in planted(),
        behind in any::<String>(),
    ) {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        let text = format!("{before} {name}{secret}{after}{behind}");
        let clean = redactor.text(&text);
        let untouched = format!("{before}{behind}");
        prop_assert!(!clean.contains(&secret) || untouched.contains(&secret), "{text:?} -> {clean:?}");
        prop_assert!(clean.contains("[redacted]"), "{text:?} -> {clean:?}");
    }

    #[test]
    fn p36_cards_and_addresses_never_survive(
        before in "[ -~]{0,40}",
        shape in prop_oneof![
            Just("4242424242424242"), Just("4242 4242 4242 4242"), Just("3782-822463-10005"), Just("5105105105105100"),
            Just("ann.lee+x@mail.example.org"), Just("ann%40example.org"),
        ],
        behind in "[ -~]{0,40}",
    ) {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        // Delimiters are needed: with letters around it, a number could be part of an id.
        let clean = redactor.text(&format!("{before} |{shape}| {behind}")).into_owned();
        prop_assert!(!clean.contains(shape), "{clean:?}");
    }

    #[test]
    fn p36_text_without_secrets_is_unchanged(text in harmless()) {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        prop_assert_eq!(&*redactor.text(&text), &text);
        prop_assert_eq!(&*redactor.value("note", &text), &text);
    }

    #[test]
    fn p36_any_text_is_accepted(text in any::<String>()) {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        let (clean, query) = (redactor.text(&text), redactor.query(&text));
        prop_assert!(!clean.is_empty() || text.is_empty());
        prop_assert!(!query.is_empty() || text.is_empty());
    }

    #[test]
    fn p36_punctuation_in_any_order_is_accepted(text in "([=:>@%'\"\\\\{}()\\[\\]&;,<?# \n]|token|password|Bearer|https?://|é|4242|%40){0,40}") {
        let redactor = Redactor::from_settings(&RedactionSettings::default()).unwrap();
        let _clean = redactor.text(&text);
        let _query = redactor.query(&text);
    }
}
