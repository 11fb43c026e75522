//! The answers of the probes: JSON with the fields of `application/health+json` (draft-inadarei-api-health-check) where
//! they fit.
//!
//! Reasons and messages of checks may quote errors, and reveal how the system is built. So an answer names components with
//! their status only, unless it is verbose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::readiness::Readiness;
use crate::health::check_report::{CheckOutcome, CheckReport};
use crate::health::outlook::Outlook;
use crate::health::reason::Reason;
use crate::health::snapshot::{Calls, ComponentHealth, HealthSnapshot, Loss};
use crate::health::status::Status;
use crate::signal;

/// The answer without details.
pub(super) const PASS: &[u8] = br#"{"status":"pass"}"#;

/// An answer: its status code and its body.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) code: StatusCode,
    pub(super) body: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_id: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    #[serde(flatten)]
    details: Details<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<String, Vec<Entry<'a>>>,
}

/// The fields that only one probe has.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Details<'a> {
    Ready {
        #[serde(skip_serializing_if = "is_false")]
        draining: bool,
        #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
        starting: &'a [Arc<str>],
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<MissingEntry<'a>>,
    },
    Startup {
        #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
        starting: &'a [Arc<str>],
    },
    Health {
        health: Status,
        score: f64,
        #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
        root_causes: &'a [Arc<str>],
        #[serde(skip_serializing_if = "<[Loss]>::is_empty")]
        losses: &'a [Loss],
    },
}

/// A critical component that fails.
#[derive(Serialize)]
struct MissingEntry<'a> {
    component: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    because_of: &'a [Arc<str>],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Component(ComponentEntry<'a>),
    Check(CheckEntry<'a>),
}

/// One component: the fields of the draft, and ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentEntry<'a> {
    component_id: &'a str,
    component_type: &'static str,
    status: &'static str,
    observed_value: f64,
    observed_unit: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    output: String,
    health: Status,
    critical: bool,
    optional: bool,
    reasons: &'a [Reason],
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    depends_on: &'a [Arc<str>],
    #[serde(skip_serializing_if = "<[Arc<str>]>::is_empty")]
    because_of: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    outlook: Option<&'a Outlook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<&'a Calls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letters: Option<u64>,
}

/// One check: the duration and result of its last run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckEntry<'a> {
    component_id: &'a str,
    component_type: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<f64>,
    observed_unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    outcome: CheckOutcome,
    last: CheckOutcome,
    runs: u64,
    failures_in_a_row: u64,
    timeout: f64,
}

// ===== the answers =====

pub(super) fn ready(readiness: &Readiness, snapshot: &HealthSnapshot, verbose: bool) -> Page {
    if readiness.ready && !verbose {
        return Page { code: StatusCode::OK, body: Bytes::from_static(PASS) };
    }
    let missing: Vec<MissingEntry<'_>> =
        readiness.missing.iter().map(|missing| MissingEntry::new(missing, verbose)).collect();
    let mut output = Vec::new();
    if readiness.draining {
        output.push("the process is shutting down".to_owned());
    }
    output.extend(still_starting(&readiness.starting));
    output.extend(missing.iter().map(MissingEntry::describe));
    let details = Details::Ready { draining: readiness.draining, starting: &readiness.starting, missing };
    let components = snapshot.components.iter().filter(|component| verbose && component.critical);
    page(
        readiness.ready,
        if readiness.ready { "pass" } else { "fail" },
        output.join("; "),
        details,
        components,
        verbose,
    )
}

pub(super) fn startup(waiting_for: &[Arc<str>]) -> Page {
    if waiting_for.is_empty() {
        return Page { code: StatusCode::OK, body: Bytes::from_static(PASS) };
    }
    let output = still_starting(waiting_for).unwrap_or_default();
    let details = Details::Startup { starting: waiting_for };
    page(false, "fail", output, details, [], false)
}

pub(super) fn health(snapshot: &HealthSnapshot, verbose: bool) -> Page {
    // All critical components serve, so their number is the reason.
    let by_number = snapshot.status.is_failing() && snapshot.is_ready();
    let output = match snapshot.reason.as_deref().filter(|_| by_number) {
        Some(reason) => reason.to_owned(),
        None => {
            let unwell = snapshot.components.iter().filter(|component| component.status >= Status::Degraded);
            let texts = unwell.map(|component| format!("`{}` is {}", component.name, component.status));
            texts.collect::<Vec<_>>().join("; ")
        }
    };
    let details = Details::Health {
        health: snapshot.status,
        score: snapshot.score,
        root_causes: if verbose { &snapshot.root_causes } else { &[] },
        losses: if verbose { &snapshot.losses } else { &[] },
    };
    let components = snapshot.components.iter().filter(|_| verbose);
    let status = draft_status(snapshot.status);
    page(!snapshot.status.is_failing(), status, output, details, components, verbose)
}

fn page<'a>(
    ok: bool,
    status: &'static str,
    output: String,
    details: Details<'a>,
    components: impl IntoIterator<Item = &'a ComponentHealth>,
    verbose: bool,
) -> Page {
    let identity = verbose.then(signal::identity).flatten();
    let mut checks: BTreeMap<String, Vec<Entry<'a>>> = BTreeMap::new();
    for component in components {
        let entry = Entry::Component(ComponentEntry::new(component));
        checks.entry(format!("{}:score", component.name)).or_default().push(entry);
        for check in &component.checks {
            let name = if check.check == check.component { "check" } else { &*check.check };
            let entry = Entry::Check(CheckEntry::new(check));
            checks.entry(format!("{}:{name}", component.name)).or_default().push(entry);
        }
    }
    let report = Report {
        status,
        service_id: identity.as_ref().and_then(|identity| identity.service.clone()),
        release_id: identity.as_ref().and_then(|identity| identity.version.clone()),
        output,
        details,
        checks,
    };
    match serde_json::to_vec(&report) {
        Ok(body) => {
            let code = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Page { code, body: body.into() }
        }
        // A report has nothing that can fail to serialize, but a probe must answer in any case.
        Err(_) => Page {
            code: StatusCode::INTERNAL_SERVER_ERROR,
            body: Bytes::from_static(br#"{"status":"fail"}"#),
        },
    }
}

// ===== its parts =====

impl<'a> MissingEntry<'a> {
    fn new(missing: &'a ComponentHealth, verbose: bool) -> Self {
        let reasons = if verbose { &missing.reasons[..] } else { &[] };
        Self {
            component: &missing.name,
            status: missing.status,
            reasons: reasons.iter().map(|reason| reason.text.as_str()).collect(),
            because_of: if verbose { &missing.because_of } else { &[] },
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("`{}` is {}", self.component, self.status);
        if let Some(reason) = self.reasons.first() {
            text = format!("{text}: {reason}");
        }
        if !self.because_of.is_empty() {
            text = format!("{text} (because of `{}`)", self.because_of.join("`, `"));
        }
        text
    }
}

impl<'a> ComponentEntry<'a> {
    fn new(component: &'a ComponentHealth) -> Self {
        let output: Vec<&str> = component.reasons.iter().map(|reason| reason.text.as_str()).collect();
        Self {
            component_id: &component.name,
            component_type: "component",
            status: draft_status(component.status),
            observed_value: component.score,
            observed_unit: "score",
            output: output.join("; "),
            health: component.status,
            critical: component.critical,
            optional: component.optional,
            reasons: &component.reasons,
            depends_on: &component.depends_on,
            because_of: &component.because_of,
            outlook: component.outlook.as_deref(),
            calls: component.calls.as_ref(),
            letters: component.letters,
        }
    }
}

impl<'a> CheckEntry<'a> {
    fn new(report: &'a CheckReport) -> Self {
        Self {
            component_id: &report.component,
            component_type: "component",
            status: match report.outcome {
                CheckOutcome::Pending | CheckOutcome::Pass => "pass",
                CheckOutcome::Warn => "warn",
                CheckOutcome::Fail | CheckOutcome::TimedOut | CheckOutcome::Panicked => "fail",
            },
            observed_value: report.at.map(|_| report.took.as_secs_f64()),
            observed_unit: "s",
            time: report.at.map(rfc3339),
            output: report.message.as_deref(),
            outcome: report.outcome,
            last: report.last,
            runs: report.runs,
            failures_in_a_row: report.failures_in_a_row,
            timeout: report.timeout.as_secs_f64(),
        }
    }
}

fn still_starting(waiting_for: &[Arc<str>]) -> Option<String> {
    (!waiting_for.is_empty()).then(|| format!("still starting: `{}`", waiting_for.join("`, `")))
}

/// The status in the words of the draft.
fn draft_status(status: Status) -> &'static str {
    match status {
        Status::Unknown | Status::Healthy => "pass",
        Status::Degraded => "warn",
        Status::Unhealthy | Status::Critical => "fail",
    }
}

fn rfc3339(at: SystemTime) -> String {
    // `humantime` cannot format a year before 1970 or after 9999.
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let latest = std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since.min(latest)).to_string()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde wants it.
fn is_false(value: &bool) -> bool {
    !value
}
