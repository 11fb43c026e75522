//! A letter before its request is in it.

use std::time::SystemTime;

use super::core::Core;
use super::failure::{Ended, Failure};
use super::letter::{Attempt, Letter, Payload, Redaction};
use super::lineage;
use super::unsendable::Unsendable;
use crate::base::cut::shorten;
use crate::base::moment;
use crate::layers::attempts::FailedAttempt;
use crate::signal::{self, Identity, TraceIds, current_correlation, current_trace};
use crate::store::LetterId;

/// Bytes of what an attempt said that are kept: there may be many.
const SAID: usize = 1024;

/// What is known of a failure at once, where it happened.
pub(super) struct Draft {
    ended: Ended,
    at: SystemTime,
    trace: Option<TraceIds>,
    /// With the name under which it is redacted.
    correlation: Option<(String, String)>,
    origin: Option<LetterId>,
    /// The id that was told to others already.
    id: Option<LetterId>,
    /// Whether the request cannot be made again from what is kept of it.
    evidence: bool,
}

impl Draft {
    pub(super) fn new(ended: Ended) -> Self {
        Self {
            ended,
            at: moment::now(),
            trace: current_trace(),
            correlation: current_correlation().map(|id| ("correlation_id".to_owned(), id)),
            origin: lineage::current(),
            id: None,
            evidence: false,
        }
    }

    /// What is kept of the request is for people only.
    pub(super) fn evidence(mut self, yes: bool) -> Self {
        self.evidence = yes;
        self
    }

    /// The id that the letter will have.
    pub(super) fn with_id(mut self, id: Option<LetterId>) -> Self {
        self.id = id;
        self
    }

    /// The trace that the request itself names, where nobody else knew one.
    pub(super) fn or_trace(mut self, trace: impl FnOnce() -> Option<TraceIds>) -> Self {
        self.trace = self.trace.or_else(trace);
        self
    }

    /// The correlation id that the request itself names, and in which header, where nobody else knew one.
    pub(super) fn or_correlation(mut self, named: impl FnOnce() -> Option<(String, String)>) -> Self {
        self.correlation = self.correlation.or_else(named);
        self
    }

    /// The letter that the request itself says it comes of, where nobody else knew one.
    pub(super) fn or_origin(mut self, named: impl FnOnce() -> Option<LetterId>) -> Self {
        self.origin = self.origin.or_else(named);
        self
    }
}

impl Core {
    /// Redacts what an error said: it may quote the request.
    pub(super) fn clean(&self, failure: &mut Failure) {
        failure.clean(|text| self.redactor.message(text));
    }

    /// An attempt as it is stored; `redrive` is the number of the redrive that made it, if one did.
    pub(super) fn attempt(&self, tried: FailedAttempt, redrive: u32) -> Attempt {
        let FailedAttempt { at, took, kind, error_type, mut message } = tried;
        if let Some(clean) = self.redactor.message(&message) {
            message = clean;
        }
        shorten(&mut message, SAID);
        Attempt {
            at,
            took: Some(took),
            kind,
            error_type,
            message,
            redrive: redrive > 0,
            redrive_number: redrive,
        }
    }

    /// Who parks.
    fn identity(&self) -> Identity {
        let known = signal::identity().map(|known| Identity::clone(&known)).unwrap_or_default();
        let own = &self.identity;
        Identity {
            service: own.service.clone().or(known.service),
            version: own.version.clone().or(known.version),
            instance: own.instance.clone().or(known.instance),
        }
    }

    /// The letter that is stored: complete, and without secrets.
    pub(super) fn letter(&self, draft: Draft, mut payload: Payload) -> Letter {
        let Draft {
            ended: Ended { mut failure, took, record },
            at,
            trace,
            correlation,
            origin,
            id,
            evidence,
        } = draft;
        let mut redacted = Vec::new();
        match &mut payload {
            Payload::Value(value) => {
                let mut found = Vec::new();
                self.redactor.value(value, &mut found);
                redacted.extend(found.into_iter().map(Redaction::Field));
            }
            Payload::Http(request) => request.redact(&self.name, &self.redactor, &mut redacted),
            Payload::Unreadable(_) => {}
        }
        self.clean(&mut failure);
        let (tried, tries) = Ended::attempts(record, &failure, at, took);
        let (trace_id, span_id) = trace.map(|trace| (trace.trace_id, trace.span_id)).unzip();
        let Identity { service, version, instance } = self.identity();
        let mut letter = Letter {
            id: id.unwrap_or_else(LetterId::new),
            queue: self.name.to_string(),
            component: self.component.to_string(),
            first_failed: at,
            last_failed: at,
            fingerprint: failure.fingerprint(&self.component),
            tries,
            redrives: 0,
            attempts: tried.into_iter().map(|tried| self.attempt(tried, 0)).collect(),
            kind: failure.kind,
            error_type: failure.error_type,
            message: failure.message,
            causes: failure.causes,
            due: self.redrives.schedule.due_first(at),
            expires: self.settings.expire_after.map(|time| moment::later(at, time)),
            set_aside: false,
            unsendable: evidence.then_some(Unsendable::EvidenceOnly),
            trace_id,
            span_id,
            correlation_id: correlation.map(|(name, id)| self.redactor.named(&name, &id)),
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
