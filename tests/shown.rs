//! `Debug` of settings shows no secrets.
//!
//! The test puts a secret into every text field of every settings type. The fields below are shown by `Debug`. Add a field
//! only if it cannot hold a secret.

#[path = "support/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fmt::Debug;

use campanile::TlsSettings;
use campanile::breaker::{BreakerSettings, KeyedSettings};
use campanile::dead_letter::{DeadLetterSettings, Redrive, SpillSettings};
use campanile::fallback::{AlternativesSettings, FallbackSettings};
use campanile::health::{
    GrpcCheckSettings, HealingLimits, HealingSettings, HealthSettings, HttpCheckSettings, PredictSettings,
    SqliteCheckSettings, TcpCheckSettings,
};
use campanile::hub::config::{
    DatabaseSection, DependencySection, EndpointSection, LettersSection, LoggingSection, MetricsSection,
    ServerSection, Settings, WorkerSection,
};
use campanile::redact::RedactionSettings;
use campanile::retry::RetrySettings;
use campanile::sampler::{GpuSettings, SamplerSettings, SystemSettings};
use campanile::serve::{MetricsServerSettings, ShutdownSettings};
use campanile::store::RedisSettings;
use campanile::telemetry::{
    BatchSettings, LogSettings, OtlpSettings, SpanLimits, TelemetryBuilder, TelemetrySettings,
};
use campanile::worker::WorkerSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use source::Token;

/// The secret that is put into each field.
const SECRET: &str = "redis://user:hunter2hunter2@host:6379/path?token=hunter2hunter2#hunter2hunter2";

/// The start of its password as a list of numbers, as `Debug` shows bytes.
const BYTES: &str = "104, 117, 110, 116, 101, 114, 50";

/// The fields that are shown, because they hold no secrets: names, file paths, patterns and expected texts.
const SHOWN: &[&str] = &[
    "DeadLetterSettings/component",
    "DeadLetterSettings/correlation_headers",
    "DeadLetterSettings/redact",
    "DeadLetterSettings/service",
    "DeadLetterSettings/service_version",
    "DeadLetterSettings/spill",
    "DependencySection/component",
    "DependencySection/depends_on",
    "EndpointSection/method",
    "GpuSettings/library",
    "HealingLimits/remember_in",
    "GrpcCheckSettings/service",
    "GrpcCheckSettings/tls",
    "GrpcCheckSettings/tls/ca_file",
    "GrpcCheckSettings/tls/client_certificate",
    "GrpcCheckSettings/tls/client_key",
    "HttpCheckSettings/contains",
    "HttpCheckSettings/json",
    "HttpCheckSettings/tls",
    "HttpCheckSettings/tls/ca_file",
    "HttpCheckSettings/tls/client_certificate",
    "HttpCheckSettings/tls/client_key",
    "LettersSection/directory",
    "LettersSection/queue/component",
    "LettersSection/queue/correlation_headers",
    "LettersSection/queue/redact",
    "LettersSection/queue/service",
    "LettersSection/queue/service_version",
    "LettersSection/queue/spill",
    "LoggingSection/filter",
    "OtlpSettings/tls",
    "OtlpSettings/tls/ca_file",
    "OtlpSettings/tls/client_certificate",
    "OtlpSettings/tls/client_key",
    "RedisSettings/tls",
    "RedisSettings/tls/ca_file",
    "RedisSettings/tls/client_certificate",
    "RedisSettings/tls/client_key",
    "Redrive/filter/component",
    "SamplerSettings/gpu/library",
    "SamplerSettings/system/disks",
    "SamplerSettings/system/file_system_types",
    "SamplerSettings/system/file_systems",
    "SamplerSettings/system/interfaces",
    "SamplerSettings/system/sources",
    "ServerSection/component",
    "ServerSection/correlation_headers",
    "ServerSection/untraced",
    "SpillSettings/path",
    "SqliteCheckSettings/path",
    "SystemSettings/disks",
    "SystemSettings/file_system_types",
    "SystemSettings/file_systems",
    "SystemSettings/interfaces",
    "SystemSettings/sources",
    "TcpCheckSettings/address",
    "TcpCheckSettings/expect",
    "TelemetrySettings/attributes",
    "TelemetrySettings/env_filter",
    "TelemetrySettings/otlp_settings/tls",
    "TelemetrySettings/otlp_settings/tls/ca_file",
    "TelemetrySettings/otlp_settings/tls/client_certificate",
    "TelemetrySettings/otlp_settings/tls/client_key",
    "TelemetrySettings/service_name",
    "TelemetrySettings/span_metric_fields",
    "TlsSettings/ca_file",
    "TlsSettings/client_certificate",
    "TlsSettings/client_key",
];

struct Places {
    seen: BTreeSet<String>,
    faults: BTreeSet<String>,
}

impl Places {
    fn check<S: Serialize + DeserializeOwned + Debug>(&mut self, name: &str, settings: &S) {
        let whole = serde_json::to_value(settings).unwrap();
        let mut open = vec![String::new()];
        while let Some(place) = open.pop() {
            let Some(here) = whole.pointer(&place) else { continue };
            if let Value::Object(map) = here {
                open.extend(map.keys().map(|key| format!("{place}/{key}")));
            }
            let texts =
                [json!(SECRET), json!([SECRET]), json!({ "name": SECRET }), json!({ "path": SECRET })];
            // Not the whole of it, which is not text.
            for text in texts.into_iter().filter(|_| !place.is_empty()) {
                let mut changed = whole.clone();
                let Some(at) = changed.pointer_mut(&place) else { continue };
                *at = text;
                let Ok(settings) = serde_json::from_value::<S>(changed) else { continue };
                let place = format!("{name}{place}");
                let shown = format!("{settings:?} {settings:#?}").replace(['\n', ' '], "");
                let shown = shown.contains("hunter2") || shown.contains(&BYTES.replace(' ', ""));
                self.seen.insert(place.clone());
                if shown && !SHOWN.contains(&&*place) {
                    self.faults.insert(place);
                }
            }
        }
    }
}

#[test]
fn the_debug_of_settings_shows_no_secret() {
    let mut places = Places { seen: BTreeSet::new(), faults: BTreeSet::new() };
    let mut checked = BTreeSet::new();
    macro_rules! default_of {
        ($($settings:ident)*) => { $(
            checked.insert(stringify!($settings));
            places.check(stringify!($settings), &$settings::default());
        )* };
    }
    default_of!(
        AlternativesSettings BatchSettings BreakerSettings DatabaseSection DeadLetterSettings
        DependencySection EndpointSection FallbackSettings GpuSettings GrpcCheckSettings HealingLimits
        HealingSettings HealthSettings HttpCheckSettings KeyedSettings LettersSection LogSettings
        LoggingSection MetricsSection MetricsServerSettings OtlpSettings PredictSettings
        RedactionSettings RedisSettings Redrive RetrySettings SamplerSettings ServerSection Settings
        ShutdownSettings SpanLimits SqliteCheckSettings SystemSettings TcpCheckSettings TlsSettings
        WorkerSection WorkerSettings
    );
    checked.extend(["SpillSettings", "TelemetrySettings"]);
    places.check("SpillSettings", &SpillSettings::new("spill.db"));
    places.check("TelemetrySettings", &TelemetrySettings::new("shop"));

    assert!(
        places.faults.is_empty(),
        "`Debug` shows these fields, which may hold a secret:\n{}",
        places.faults.iter().cloned().collect::<Vec<_>>().join("\n")
    );
    let stale: Vec<_> = SHOWN.iter().filter(|place| !places.seen.contains(**place)).collect();
    assert!(stale.is_empty(), "these fields do not exist or are not shown: {stale:?}");
    for place in
        ["HttpCheckSettings/headers", "OtlpSettings/headers", "RedisSettings/url", "TcpCheckSettings/send"]
    {
        assert!(places.seen.contains(place), "{place} was not tried");
    }

    for file in source::rust_files("src") {
        for three in source::tokens(&source::read(std::path::Path::new("src").join(&file))).windows(3) {
            if let [(_, public), (_, kind), (line, Token::Word(name))] = three
                && public.is_word("pub")
                && kind.is_word("struct")
                && (name.ends_with("Settings") || name.ends_with("Section"))
            {
                assert!(checked.contains(&**name), "src/{}:{line}: try `{name}` here", file.display());
            }
        }
    }
}

/// Builders, checks and errors show no secrets either.
#[test]
fn builders_checks_and_errors_show_no_secret() {
    use campanile::health::{Action, GrpcCheck, HttpCheck, RedisCheck, TcpCheck};
    use campanile::store::RedisStore;

    let silent = |what: &dyn Debug| {
        let shown = format!("{what:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(BYTES), "{shown}");
    };
    let url = "http://user:hunter2@host/?token=hunter2";
    silent(&HttpCheck::builder(url));
    silent(&HttpCheck::builder(url).build().map_err(|error| error.to_string()));
    silent(&HttpCheck::builder("http://host/?token=hunter2").header("authorization", "hunter2").build());
    silent(&GrpcCheck::builder(url));
    silent(&GrpcCheck::builder(url).build().map_err(|error| error.to_string()));
    silent(&TcpCheck::builder("host:1").send("AUTH hunter2\r\n"));
    silent(&TcpCheck::builder("host:1").send("AUTH hunter2\r\n").build());
    silent(&RedisCheck::builder("redis://user:hunter2@host/").build().map_err(|error| error.to_string()));
    silent(&RedisCheck::builder("no://user:hunter2@host/").build().map_err(|error| error.to_string()));
    silent(&RedisStore::builder("redis://user:hunter2@host/"));
    silent(&Action::command(["tool", "--password=hunter2"]).env("TOKEN", "hunter2"));
    let mut settings = OtlpSettings::default();
    settings.endpoint = Some(url.to_owned());
    settings.headers.insert("authorization".to_owned(), "hunter2".to_owned());
    let mut telemetry = TelemetrySettings::new("shop");
    telemetry.otlp_settings = settings;
    silent(&TelemetryBuilder::from_settings(&telemetry));
}
