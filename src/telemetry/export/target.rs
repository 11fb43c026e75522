//! Where and how one signal is sent.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Uri};

use super::headers::headers;
use crate::base::error::ConfigError;
use crate::base::tls::{Certificates, cleartext_header};
use crate::telemetry::counters::Signal;
use crate::telemetry::error::TelemetryError;
use crate::telemetry::otlp::{OtlpCompression, OtlpProtocol, OtlpSettings, PROTOCOLS, shown};
use crate::telemetry::variables::Variables;

/// Where and how one signal is sent, from settings and environment variables.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) signal: Signal,
    pub(super) grpc: bool,
    /// Including the path of the signal.
    pub(super) uri: Uri,
    /// The variable or setting that the URL comes from, for errors.
    pub(super) uri_setting: String,
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
    /// Maximum size of a message in bytes, before compression.
    pub(super) message_limit: usize,
    pub(super) headers: HeaderMap,
    pub(super) certificates: Certificates,
}

/// The variable of one signal, such as `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, then the general one.
fn variable_names(signal: Signal, what: &str) -> [String; 2] {
    let signal = signal.as_str().to_ascii_uppercase();
    [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
}

impl Target {
    pub(super) fn of(
        signal: Signal,
        settings: &OtlpSettings,
        variables: &Variables,
    ) -> Result<Self, TelemetryError> {
        let find = |what| variables.first_of(&variable_names(signal, what));
        let grpc = match find("PROTOCOL") {
            None => settings.protocol == OtlpProtocol::Grpc,
            Some((name, value)) => match value.to_ascii_lowercase().as_str() {
                "grpc" if cfg!(feature = "otlp-grpc") => true,
                "http/protobuf" => false,
                _ => return Err(ConfigError::new(name, value, PROTOCOLS).into()),
            },
        };
        let gzip = match find("COMPRESSION") {
            None => settings.compression == OtlpCompression::Gzip,
            Some((name, value)) => match value.to_ascii_lowercase().as_str() {
                "gzip" => true,
                "none" => false,
                _ => return Err(ConfigError::new(name, value, "gzip or none").into()),
            },
        };
        let timeout = match find("TIMEOUT") {
            None => settings.timeout,
            Some((name, value)) => match value.parse().ok().filter(|&milliseconds| milliseconds > 0) {
                Some(milliseconds) => Duration::from_millis(milliseconds),
                None => return Err(ConfigError::new(name, value, "milliseconds, more than zero").into()),
            },
        };
        let (uri_setting, uri) = uri(signal, grpc, settings, variables)?;
        let set = Certificates::of(&settings.tls, "otlp_settings.tls.");
        let file = |what, set| find(what).map(|(name, path)| (name, path.into())).or(set);
        Ok(Self {
            signal,
            grpc,
            uri,
            uri_setting,
            timeout,
            gzip,
            message_limit: settings.message_limit,
            headers: headers(&settings.headers, variables, &variable_names(signal, "HEADERS"))?,
            certificates: Certificates {
                authorities: file("CERTIFICATE", set.authorities),
                client: file("CLIENT_CERTIFICATE", set.client),
                client_key: file("CLIENT_KEY", set.client_key),
            },
        })
    }

    /// Scheme, host and port, without the parts that may hold a secret.
    pub(super) fn origin(&self) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or("http"))
    }

    /// The first header that is a secret by its name and is sent to another machine without TLS.
    pub(super) fn cleartext_header(&self) -> Option<&HeaderName> {
        cleartext_header(&self.uri, &self.headers)
    }
}

/// The URL of a signal, with the variable or setting that it comes from: that of the signal's own variable as it is, or
/// the general one with the path of the signal.
fn uri(
    signal: Signal,
    grpc: bool,
    settings: &OtlpSettings,
    variables: &Variables,
) -> Result<(String, Uri), TelemetryError> {
    let names = variable_names(signal, "ENDPOINT");
    let variable = variables.first_of(&names);
    let path = match signal {
        #[cfg(feature = "otlp-grpc")]
        signal if grpc => super::grpc::path(signal),
        Signal::Traces => "/v1/traces",
        Signal::Metrics => "/v1/metrics",
        Signal::Logs => "/v1/logs",
    };
    let own = variable.as_ref().is_some_and(|(name, _)| *name == names[0]);
    let path = if own && !grpc { "" } else { path };
    let default = || format!("http://localhost:{}", if grpc { 4317 } else { 4318 });
    let (setting, mut endpoint) = variable.unwrap_or_else(|| {
        ("otlp_settings.endpoint".to_owned(), settings.endpoint.clone().unwrap_or_else(default))
    });
    if grpc && !has_scheme(&endpoint) {
        // Only gRPC endpoints may have no scheme. `…_INSECURE` applies to them only.
        let insecure = variables.first_of(&variable_names(signal, "INSECURE"));
        let insecure = insecure.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        endpoint = format!("{}://{endpoint}", if insecure { "http" } else { "https" });
    }
    let failed = |reason: String| {
        let endpoint = format!("{}{path}", shown(&endpoint).trim_end_matches('/'));
        TelemetryError::Exporter { signal: signal.as_str(), endpoint, setting: setting.clone(), reason }
    };
    // Parsing drops the fragment.
    let uri: Uri = endpoint.parse().map_err(|error| failed(format!("{error}")))?;
    let Some(authority) = uri.authority() else {
        return Err(failed("the URL has no host; write it as http://collector:4318".to_owned()));
    };
    if authority.as_str().contains('@') {
        let reason = "the URL must not hold a user and a password; set them in OTEL_EXPORTER_OTLP_HEADERS, as \
                      authorization=Basic%20…";
        return Err(failed(reason.to_owned()));
    }
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => {
            let reason = "https: needs the feature `tls` of campanile, which is off; enable it, or use an http: endpoint, \
                          such as a collector on this machine";
            return Err(failed(reason.to_owned()));
        }
        _ => return Err(failed("the URL must begin with http: or https:".to_owned())),
    }
    if path.is_empty() {
        return Ok((setting, uri));
    }
    let uri = append_path(uri, path).map_err(|error| failed(error.to_string()))?;
    Ok((setting, uri))
}

/// Whether a URL has a scheme. A URL inside its query does not count.
fn has_scheme(endpoint: &str) -> bool {
    endpoint.split(['/', '?', '#', '@']).next().is_some_and(|start| {
        let rest = &endpoint[start.len()..];
        start.ends_with(':') && rest.starts_with("//")
    })
}

/// Appends `path` to the path of `uri`, before the query.
fn append_path(uri: Uri, path: &str) -> Result<Uri, http::Error> {
    let base = uri.path().trim_end_matches('/');
    let whole = match uri.query() {
        Some(query) => format!("{base}{path}?{query}"),
        None => format!("{base}{path}"),
    };
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(whole.parse()?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tls::TlsSettings;

    fn with(
        settings: &OtlpSettings,
        signal: Signal,
        set: &'static [(&'static str, &'static str)],
    ) -> Result<Target, TelemetryError> {
        let find =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Target::of(signal, settings, &Variables::new(find))
    }

    fn target(
        signal: Signal,
        set: &'static [(&'static str, &'static str)],
    ) -> Result<Target, TelemetryError> {
        with(&OtlpSettings::default(), signal, set)
    }

    #[test]
    fn the_default_is_http_on_this_machine() {
        let target = target(Signal::Traces, &[]).unwrap();
        assert_eq!(target.uri, "http://localhost:4318/v1/traces");
        assert!(!target.grpc && !target.gzip);
        assert_eq!(target.timeout, Duration::from_secs(10));
    }

    #[test]
    fn the_path_of_the_signal_is_appended_to_the_general_endpoint_only() {
        let set = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/base/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:2/x"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1"),
        ];
        assert_eq!(target(Signal::Metrics, set).unwrap().uri, "http://c:1/base/v1/metrics");
        assert_eq!(target(Signal::Logs, set).unwrap().uri, "http://c:1/base/v1/logs");
        assert_eq!(target(Signal::Traces, set).unwrap().uri, "http://t:2/x");
        assert_eq!(target(Signal::Traces, set).unwrap().timeout, Duration::from_millis(1_500));
        assert_eq!(target(Signal::Logs, set).unwrap().timeout, Duration::from_millis(1));
    }

    #[test]
    fn a_query_stays_after_the_path_and_a_fragment_is_dropped() {
        for (endpoint, uri) in [
            ("http://c/base?token=x", "http://c/base/v1/traces?token=x"),
            ("http://c/base/?token=x", "http://c/base/v1/traces?token=x"),
            ("http://c?token=x/", "http://c/v1/traces?token=x/"),
            ("http://c:1/?", "http://c:1/v1/traces?"),
            ("http://c/base#part", "http://c/base/v1/traces"),
            ("http://c/base?token=x#part", "http://c/base/v1/traces?token=x"),
            ("http://c", "http://c/v1/traces"),
            ("http://c:1#part", "http://c:1/v1/traces"),
            ("http://c/#part", "http://c/v1/traces"),
            ("http://[::1]:4318//", "http://[::1]:4318/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
            ("http://[::1]?x=y#z", "http://[::1]/v1/traces?x=y"),
        ] {
            let set: &'static [_] = Box::leak(Box::new([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]));
            let target = target(Signal::Traces, set).unwrap();
            assert_eq!(target.uri, *uri, "{endpoint}");
            assert!(!target.origin().contains("token"), "{}", target.origin());
        }
        let own = &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/base?token=x#part")];
        assert_eq!(target(Signal::Traces, own).unwrap().uri, "http://c/base?token=x");
    }

    #[test]
    fn a_secret_header_without_tls_is_found_by_its_name_and_the_host() {
        for (endpoint, header, warns) in [
            ("http://collector:4318", "authorization", true),
            ("http://10.0.0.7:4318", "x-api-key", true),
            ("http://[2001:db8::1]:4318", "dd-api-key", true),
            ("http://localhost.example.com", "authorization", true),
            ("http://collector:4318", "x-scope-orgid", false),
            ("http://localhost:4318", "authorization", false),
            ("http://LOCALHOST:4318", "authorization", false),
            ("http://otel.localhost", "authorization", false),
            ("http://127.3.2.1:4318", "authorization", false),
            ("http://[::1]:4318", "authorization", false),
        ] {
            let mut settings =
                OtlpSettings { endpoint: Some(endpoint.to_owned()), ..OtlpSettings::default() };
            settings.headers.insert(header.to_owned(), "hunter2".to_owned());
            let target = with(&settings, Signal::Traces, &[]).unwrap();
            assert_eq!(target.cleartext_header().is_some(), warns, "{endpoint} {header}");
        }
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn each_signal_may_have_its_own_protocol() {
        let set = &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ];
        let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(target(Signal::Traces, set).unwrap().uri, *format!("http://localhost:4317{service}"));
        assert!(!target(Signal::Metrics, set).unwrap().grpc);
        let error = target(Signal::Traces, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting `OTEL_EXPORTER_OTLP_PROTOCOL` cannot be http/xml; allowed: grpc or http/protobuf"
        );
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn variables_win_over_settings() {
        let settings = OtlpSettings {
            endpoint: Some("http://code:1".to_owned()),
            protocol: OtlpProtocol::Grpc,
            compression: OtlpCompression::Gzip,
            tls: TlsSettings::default().ca_file("/code.pem"),
            ..OtlpSettings::default()
        };
        let plain = with(&settings, Signal::Metrics, &[]).unwrap();
        assert!(plain.grpc && plain.gzip);
        assert_eq!(plain.uri.authority().unwrap(), "code:1");
        let authorities = Some(("otlp_settings.tls.ca_file".to_owned(), "/code.pem".into()));
        assert_eq!(plain.certificates, Certificates { authorities, ..Certificates::default() });
        let set = &[
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://variable:2"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/variable.pem"),
        ];
        let changed = with(&settings, Signal::Metrics, set).unwrap();
        assert!(!changed.grpc && !changed.gzip);
        assert_eq!(changed.uri, "http://variable:2/v1/metrics");
        let name = "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE".to_owned();
        assert_eq!(changed.certificates.authorities, Some((name, "/variable.pem".into())));
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn grpc_without_a_scheme_uses_tls_unless_insecure() {
        let insecure = &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ];
        assert_eq!(target(Signal::Traces, insecure).unwrap().uri.scheme_str(), Some("http"));
        let secure = target(Signal::Traces, &insecure[..2]);
        if cfg!(feature = "tls") {
            assert_eq!(secure.unwrap().uri.scheme_str(), Some("https"));
        } else {
            let error = secure.unwrap_err().to_string();
            assert!(error.contains("needs the feature `tls`"), "{error}");
        }
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn the_grpc_path_is_appended_with_or_without_a_scheme() {
        let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        for (endpoint, before, after) in [
            ("http://c:1/base?x=y#z", "http://c:1/base", "?x=y"),
            ("c:1", "http://c:1", ""),
            ("c:1/", "http://c:1", ""),
            ("c:1/base/?x=y#z", "http://c:1/base", "?x=y"),
            ("c?next=http://d/", "http://c", "?next=http://d/"),
            ("[::1]:1#z", "http://[::1]:1", ""),
            ("[::1]/base", "http://[::1]/base", ""),
        ] {
            let set: &'static [_] = Box::leak(Box::new([
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ]));
            assert_eq!(
                target(Signal::Traces, set).unwrap().uri,
                *format!("{before}{service}{after}"),
                "{endpoint}"
            );
        }
        let user = &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "user:hunter2@c:1"),
        ];
        let error = target(Signal::Traces, user).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("hunter2"), "{error}");
    }

    #[cfg(not(feature = "otlp-grpc"))]
    #[test]
    fn grpc_needs_its_feature() {
        let error =
            target(Signal::Traces, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && error.contains("`otlp-grpc`"), "{error}");
    }

    #[test]
    fn an_invalid_endpoint_is_refused_without_showing_its_password() {
        for (endpoint, reason) in [
            ("ftp://a", "http: or https:"),
            ("http://user:hunter2@a", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://user:hunter2@a b", "invalid uri character"),
            ("/a", "no host"),
            ("ftp://a/?token=hunter2", "http: or https:"),
            ("http://a b/?token=hunter2@c", "invalid uri character"),
        ] {
            let set: &'static [_] = Box::leak(Box::new([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]));
            let error = target(Signal::Traces, set).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{error}");
            assert!(error.contains("`OTEL_EXPORTER_OTLP_ENDPOINT`"), "{error}");
        }
        let settings = OtlpSettings { endpoint: Some("ftp://a".to_owned()), ..OtlpSettings::default() };
        let error = with(&settings, Signal::Logs, &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot export logs to `ftp://a/v1/logs`, from `otlp_settings.endpoint`: the URL must begin with http: or https:"
        );
        let own =
            &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "ftp://b"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")];
        let error = target(Signal::Logs, own).unwrap_err().to_string();
        assert!(error.contains("`ftp://b`, from `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`"), "{error}");
    }
}
