//! A letter before its request is in it.

use std::time::SystemTime;

use crate::base::moment;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::FailedCall;
use crate::dead_letter::letter::{Letter, Payload, Redaction, Unsendable};
use crate::dead_letter::sending;
use crate::signal::{self, Identity, TraceIds, current_correlation, current_trace};
use crate::store::LetterId;

/// The data about a failure that the task in which it happened knows.
pub(in crate::dead_letter) struct Draft {
    call: FailedCall,
    at: SystemTime,
    trace: Option<TraceIds>,
    /// The name of the header, which decides whether the id is redacted, and the id.
    correlation: Option<(String, String)>,
    origin: Option<LetterId>,
    /// The id of the letter, if the request already carries it.
    id: Option<LetterId>,
    /// Whether the request cannot be restored from its JSON.
    evidence_only: bool,
}

impl Draft {
    pub(in crate::dead_letter) fn new(call: FailedCall) -> Self {
        Self {
            call,
            at: moment::now(),
            trace: current_trace(),
            correlation: current_correlation().map(|id| ("correlation_id".to_owned(), id)),
            origin: sending::current_letter(),
            id: None,
            evidence_only: false,
        }
    }

    pub(super) fn evidence_only(mut self, yes: bool) -> Self {
        self.evidence_only = yes;
        self
    }

    /// Sets the id that the request carries.
    #[cfg(feature = "http")]
    pub(in crate::dead_letter) fn with_id(mut self, id: Option<LetterId>) -> Self {
        self.id = id;
        self
    }

    /// Sets the trace that the request names, if there is no current trace.
    #[cfg(feature = "http")]
    pub(in crate::dead_letter) fn or_trace(mut self, trace: impl FnOnce() -> Option<TraceIds>) -> Self {
        self.trace = self.trace.or_else(trace);
        self
    }

    /// Sets the correlation id that the request carries and the name of its header, if there is no current id.
    #[cfg(feature = "http")]
    pub(in crate::dead_letter) fn or_correlation(
        mut self,
        header: impl FnOnce() -> Option<(String, String)>,
    ) -> Self {
        self.correlation = self.correlation.or_else(header);
        self
    }

    /// Sets the letter that the request names as its origin, if no letter is being sent.
    #[cfg(feature = "http")]
    pub(in crate::dead_letter) fn or_origin(mut self, origin: impl FnOnce() -> Option<LetterId>) -> Self {
        self.origin = self.origin.or_else(origin);
        self
    }

    /// The complete letter, without secrets.
    pub(super) fn into_letter(self, core: &Core, mut payload: Payload) -> Letter {
        let Self { call, at, trace, correlation, origin, id, evidence_only } = self;
        let redactor = &core.redactor;
        let mut redacted = Vec::new();
        match &mut payload {
            Payload::Value(value) => {
                let mut found = Vec::new();
                redactor.value(value, &mut found);
                redacted.extend(found.into_iter().map(Redaction::Field));
            }
            Payload::Http(request) => request.redact(&core.name, redactor, &mut redacted),
            Payload::Unreadable(_) => {}
        }
        let (failure, attempts, tries) = call.attempts(at, 0, redactor);
        let (trace_id, span_id) = trace.map(|trace| (trace.trace_id, trace.span_id)).unzip();
        let Identity { service, version, instance } = identity(core);
        let mut letter = Letter {
            id: id.unwrap_or_else(LetterId::new),
            queue: core.name.to_string(),
            component: core.component.to_string(),
            first_failed: at,
            last_failed: at,
            fingerprint: failure.fingerprint(&core.component),
            tries,
            redrives: 0,
            attempts,
            kind: failure.kind,
            error_type: failure.error_type,
            message: failure.message,
            causes: failure.causes,
            due: core.redrives.schedule.due_first(at),
            expires: core.settings.expire_after.map(|time| moment::later(at, time)),
            set_aside: false,
            unsendable: evidence_only.then_some(Unsendable::EvidenceOnly),
            trace_id,
            span_id,
            correlation_id: correlation.map(|(name, id)| redactor.named(&name, &id)),
            service,
            service_version: version,
            instance,
            origin,
            redacted,
            payload,
        };
        letter.unsendable = letter.flaw();
        letter
    }
}

/// The identity by the settings and the environment, completed by the telemetry of the process.
fn identity(core: &Core) -> Identity {
    let known = signal::identity().map(|known| Identity::clone(&known)).unwrap_or_default();
    let own = &core.identity;
    Identity {
        service: own.service.clone().or(known.service),
        version: own.version.clone().or(known.version),
        instance: own.instance.clone().or(known.instance),
    }
}
