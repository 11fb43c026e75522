//! One action, from its beginning to its record.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::sleep;

use super::action::{Done, LONGEST, said_in};
use super::floor::Seat;
use super::healers::Healer;
use super::record::{HealingOutcome, HealingRecord};
use crate::base::clock::{self, Tick};
use crate::base::cut::boundary_from;
use crate::base::moment;
use crate::base::outcome::Timed;
use crate::health::awake::{LATE, within};
use crate::health::snapshot::ComponentHealth;
use crate::health::status::Status;
use crate::health::texts::Texts;

/// Reasons that a record keeps: each check of the component may be one.
const CAUSES: usize = 16;

/// A healing that has begun. It leaves one record, even when it is dropped midway.
pub(super) struct Turn {
    healer: Arc<Healer>,
    seat: Option<Seat>,
    by_hand: bool,
    status: Status,
    cause: Vec<String>,
    began: (Tick, SystemTime),
    recorded: bool,
}

/// What is known at its end.
struct End {
    outcome: HealingOutcome,
    status: Option<Status>,
    output: Option<String>,
    exit_code: Option<i32>,
    acted: Tick,
}

impl Turn {
    pub(super) fn new(
        healer: Arc<Healer>,
        seat: Seat,
        component: Option<&ComponentHealth>,
        by_hand: bool,
        now: Tick,
    ) -> Self {
        Self {
            healer,
            seat: Some(seat),
            by_hand,
            status: component.map_or(Status::Unknown, |component| component.status),
            cause: component
                .map(|component| component.reasons.iter().take(CAUSES).map(ToString::to_string).collect())
                .unwrap_or_default(),
            began: (now, moment::now()),
            recorded: false,
        }
    }

    pub(super) async fn run(mut self) -> Arc<HealingRecord> {
        let healer = Arc::clone(&self.healer);
        let settings = &healer.healing.settings;
        healer.remember().await;
        let done = if settings.dry_run {
            Done { outcome: Err(HealingOutcome::DryRun), ..Done::default() }
        } else {
            healer.action.run(settings.timeout).await
        };
        let Done { outcome, output, exit_code, rest } = done;
        let acted = clock::now();
        let (outcome, status) = match outcome {
            Err(outcome) => (outcome, None),
            Ok(()) if !settings.verify => (HealingOutcome::Unverified, None),
            Ok(()) => verify(&healer).await,
        };
        let record = self.record(End { outcome, status, output, exit_code, acted });
        if let Some(rest) = rest {
            // It must not meet its successor, and who waits for the record need not wait for it.
            tokio::spawn(async move {
                rest.gone().await;
                drop(self);
            });
        }
        record
    }

    fn record(&mut self, end: End) -> Arc<HealingRecord> {
        self.recorded = true;
        let healer = &self.healer;
        let clean = |text: String| kept(&healer.texts, &text);
        let outcome = match end.outcome {
            HealingOutcome::Failed(why) => HealingOutcome::Failed(clean(why)),
            HealingOutcome::Panicked(with) => HealingOutcome::Panicked(clean(with)),
            outcome => outcome,
        };
        let now = clock::now();
        let record = Arc::new(HealingRecord {
            number: self.seat.as_ref().map_or(0, |seat| seat.number),
            healing: Arc::clone(&healer.healing.name),
            component: Arc::clone(&healer.healing.component),
            status: self.status,
            cause: std::mem::take(&mut self.cause),
            by_hand: self.by_hand,
            began: self.began.1,
            took: end.acted.since(self.began.0),
            took_in_all: now.since(self.began.0),
            outcome,
            status_after: end.status,
            output: end.output.map(clean),
            exit_code: end.exit_code,
        });
        healer.keep(Arc::clone(&record));
        let (component, name) = (&record.component, &record.healing);
        healer.counts.action(component, name, &record.outcome, record.took_in_all);
        tell(&record);
        let settings = &healer.healing.settings;
        let helped = record.outcome.is_success();
        let escalates = healer.course.lock().judge(helped, now, fastrand::f64(), settings);
        if escalates && !settings.dry_run {
            healer.escalate(Arc::clone(&record));
        }
        record
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.recorded {
            let outcome = HealingOutcome::Failed("the runtime ended before it did".to_owned());
            let acted = clock::now();
            self.record(End { outcome, status: None, output: None, exit_code: None, acted });
        }
        self.healer.course.lock().end();
        self.seat = None;
    }
}

/// Looks whether what called for it is over, and again until it is or the time for that is up. Time in which this process
/// stood still does not count.
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
        if !component.is_some_and(|component| healing.when.holds(component)) {
            // Who waits for it to be well, a probe say, need not wait for the next look.
            context.discard_cached();
            return (HealingOutcome::Helped, status);
        }
        if clock::now() >= until {
            return (HealingOutcome::DidNotHelp, status);
        }
    }
}

impl Healer {
    /// Tells somebody, in a task of its own.
    pub(super) fn escalate(&self, record: Arc<HealingRecord>) {
        let (component, healing) = (&*self.healing.component, &*self.healing.name);
        tracing::warn!(
            target: "campanile::health",
            component,
            healing,
            outcome = record.outcome.as_str(),
            "a healing does not help, somebody has to look"
        );
        let (Some(escalate), Some(runtime)) = (self.healing.escalate.clone(), self.runtime()) else { return };
        let (healing, limit) = (Arc::clone(&record.healing), self.healing.settings.timeout);
        let texts = self.texts.clone();
        runtime.spawn(async move {
            // Another task yet: its panic must not go by unseen.
            let mut told = Timed::spawn(async move { escalate(record).await });
            let wrong = match within(limit, &mut told.task).await.ended {
                Some(Ok(())) => return,
                Some(Err(broken)) => format!("it panicked: {}", kept(&texts, &said_in(broken))),
                None => {
                    told.give_up();
                    "it took too long".to_owned()
                }
            };
            tracing::error!(
                target: "campanile::health",
                healing = &*healing,
                "nobody may have been told that a healing does not help: {wrong}"
            );
        });
    }
}

fn tell(record: &HealingRecord) {
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

/// The end of `text` as it is kept: without its secrets.
fn kept(texts: &Texts, text: &str) -> String {
    let text = texts.clean(text);
    text[boundary_from(&text, text.len().saturating_sub(LONGEST))..].to_owned()
}
