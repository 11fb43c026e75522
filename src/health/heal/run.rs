//! One action, from its start to its record.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::sleep;

use super::done::Done;
use super::healer::Healer;
use super::record::{HealingOutcome, HealingRecord};
use super::shared::Permit;
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::health::awake::LATE;
use crate::health::snapshot::ComponentHealth;
use crate::health::status::Status;

/// Maximum number of reasons in a record: each check of the component may be one.
const MAX_CAUSES: usize = 16;

/// A healing that has started. It leaves one record, even when it is dropped early.
pub(super) struct Run {
    healer: Arc<Healer>,
    permit: Option<Permit>,
    by_hand: bool,
    status: Status,
    cause: Vec<String>,
    began: (Tick, SystemTime),
    recorded: bool,
}

/// The end in the record of the run.
struct End {
    outcome: HealingOutcome,
    status: Option<Status>,
    output: Option<String>,
    exit_code: Option<i32>,
    action_ended: Tick,
}

impl Run {
    pub(super) fn new(
        healer: Arc<Healer>,
        permit: Permit,
        component: Option<&ComponentHealth>,
        by_hand: bool,
        now: Tick,
    ) -> Self {
        let cause = component.into_iter().flat_map(|component| &component.reasons);
        Self {
            healer,
            permit: Some(permit),
            by_hand,
            status: component.map_or(Status::Unknown, |component| component.status),
            cause: cause.take(MAX_CAUSES).map(ToString::to_string).collect(),
            began: (now, moment::now()),
            recorded: false,
        }
    }

    pub(super) async fn run(mut self) -> Arc<HealingRecord> {
        let healer = Arc::clone(&self.healer);
        let settings = &healer.healing.settings;
        healer.shared.save_start(&healer.healing.component, &healer.healing.name).await;
        let done = if settings.dry_run {
            Done { outcome: Err(HealingOutcome::DryRun), ..Done::default() }
        } else {
            healer.action.run(settings.timeout).await
        };
        let Done { outcome, output, exit_code, leftover } = done;
        let action_ended = clock::now();
        let (outcome, status) = match outcome {
            Err(outcome) => (outcome, None),
            Ok(()) if !settings.verify => (HealingOutcome::Unverified, None),
            Ok(()) => verify(&healer).await,
        };
        let record = self.record(End { outcome, status, output, exit_code, action_ended });
        if let Some(leftover) = leftover {
            // The healing counts as running until the leftover has ended. The caller gets the record at once.
            tokio::spawn(async move {
                leftover.ended().await;
                drop(self);
            });
        }
        record
    }

    fn record(&mut self, end: End) -> Arc<HealingRecord> {
        self.recorded = true;
        let healer = &self.healer;
        let sanitize = |text: String| healer.sanitize(&text);
        let outcome = match end.outcome {
            HealingOutcome::Failed(reason) => HealingOutcome::Failed(sanitize(reason)),
            HealingOutcome::Panicked(message) => HealingOutcome::Panicked(sanitize(message)),
            outcome => outcome,
        };
        let now = clock::now();
        let record = Arc::new(HealingRecord {
            number: self.permit.as_ref().map_or(0, |permit| permit.number),
            healing: Arc::clone(&healer.healing.name),
            component: Arc::clone(&healer.healing.component),
            status: self.status,
            cause: std::mem::take(&mut self.cause),
            by_hand: self.by_hand,
            began: self.began.1,
            took: end.action_ended.since(self.began.0),
            took_in_all: now.since(self.began.0),
            outcome,
            status_after: end.status,
            output: end.output.map(sanitize),
            exit_code: end.exit_code,
        });
        healer.push_record(Arc::clone(&record));
        healer.counters.add_action(&record);
        log(&record);
        let settings = &healer.healing.settings;
        let helped = record.outcome.is_success();
        let escalates = healer.pacing.lock().record(helped, now, fastrand::f64(), settings);
        if escalates && !settings.dry_run {
            healer.escalate(Arc::clone(&record));
        }
        record
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.recorded {
            let outcome = HealingOutcome::Failed("the Tokio runtime ended before the action".to_owned());
            let action_ended = clock::now();
            self.record(End { outcome, status: None, output: None, exit_code: None, action_ended });
        }
        self.healer.pacing.lock().end();
        self.permit = None;
    }
}

/// Tests the condition until it no longer holds or the time limit has passed. Time in which this process stood still
/// does not count.
async fn verify(healer: &Healer) -> (HealingOutcome, Option<Status>) {
    let healing = &healer.healing;
    let (every, whole) = (healing.settings.verify_after, healing.settings.verify_within);
    let mut until = clock::now() + whole;
    loop {
        let began = clock::now();
        let pause = every.min(until.since(began));
        sleep(pause).await;
        let late = clock::now().since(began).saturating_sub(pause);
        if late > LATE {
            until = until + late;
        }
        let checks = healer.context.upgrade().map(|context| context.checks());
        let Some(checks) = checks else { return (HealingOutcome::Unverified, None) };
        checks.run(&healing.component).await;
        let Some(context) = healer.context.upgrade() else {
            return (HealingOutcome::Unverified, None);
        };
        let snapshot = context.take_snapshot();
        let component = snapshot.component(&healing.component);
        let status = component.map(|component| component.status);
        if !component.is_some_and(|component| healing.when.holds(&healing.name, component)) {
            // Probes see the recovery at once.
            context.discard_cached();
            return (HealingOutcome::Helped, status);
        }
        if clock::now() >= until {
            return (HealingOutcome::DidNotHelp, status);
        }
    }
}

fn log(record: &HealingRecord) {
    let HealingRecord { number, healing, component, status, by_hand, outcome, .. } = record;
    let (cause, took) = (record.cause.join("; "), record.took.as_secs_f64());
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: "campanile::health",
                component = &**component,
                healing = &**healing,
                number,
                status = status.as_str(),
                cause,
                by_hand,
                took,
                outcome = outcome.as_str(),
                exit_code = record.exit_code,
                output = record.output.as_deref(),
                "a healing ended: {outcome}"
            )
        };
    }
    match outcome {
        HealingOutcome::Helped | HealingOutcome::Unverified | HealingOutcome::DryRun => event!(info),
        _ => event!(warn),
    }
}
