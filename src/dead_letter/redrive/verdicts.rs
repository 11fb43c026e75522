//! What the end of a call means for its letter and for the run.

use std::time::Duration;

use tokio::time::Instant;

use super::request::Meaning;
use super::run::{Landed, Run};
use super::settling::{End, Written};
use crate::base::moment;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::Letter;
use crate::layers::attempts::Record;
use crate::store::{LetterId, Settled, StoreError};

impl Run<'_> {
    /// A call has ended.
    pub(super) fn land(&mut self, landed: Landed) {
        let Landed { letter, meaning, took, record } = landed;
        match meaning {
            Meaning::Success => {
                self.pauses.passed(true);
                let _never = self.failures.count(false);
                self.settling.push(Settled::Delivered(letter.id), End::Redriven);
            }
            Meaning::Failed(failure) => self.failed(letter, failure, took, record),
            Meaning::Refused(retry_after) => {
                let arrived = record
                    .arrived()
                    .map(|tried| Failure::new(tried.kind, tried.error_type.as_str(), &tried.message));
                match arrived {
                    // A retry in the stack tried once more, and that was refused. Else a letter that opens the circuit
                    // each time would never have failed, and hold up all others for ever.
                    Some(failure) => self.failed(letter, failure, took, record),
                    None => self.pages.put_back(letter),
                }
                self.pause(retry_after);
            }
        }
    }

    fn failed(&mut self, mut letter: Box<Letter>, failure: Failure, took: Duration, record: Record) {
        self.pauses.passed(false);
        if let Some(reason) = self.failures.count(true) {
            self.stopped.get_or_insert(reason);
        }
        letter.failed_again(&self.core, failure, took, record);
        self.keep(letter);
    }

    /// A letter that failed waits on, with one more attempt.
    fn keep(&mut self, mut letter: Box<Letter>) {
        let most = self.course.redrive.set_aside_after;
        let set_aside = most > 0 && letter.redrives >= most && !letter.set_aside;
        if set_aside {
            letter.set_aside = true;
            tracing::warn!(
                queue = &*self.core.name,
                letter = %letter.id,
                redrives = letter.redrives,
                "a dead letter was set aside, because every redrive failed: {}",
                letter.message
            );
        }
        letter.due = self.core.redrives.schedule.due_again(&letter).or(letter.due);
        let id = letter.id;
        match letter.into_entry() {
            Ok(entry) => {
                if !entry.set_aside {
                    self.core.redrives.schedule.note(entry.due);
                }
                let end = if set_aside { End::SetAside } else { End::Failed };
                self.settling.push(Settled::Failed(entry), end);
            }
            Err(error) => {
                self.error.get_or_insert(StoreError::other(error));
                self.settling.push(Settled::Released(id), End::Released);
            }
        }
    }

    fn pause(&mut self, retry_after: Option<Duration>) {
        match self.pauses.refused(retry_after) {
            Ok(longer) => {
                self.course.progress.update(|report| report.paused += longer);
                let until = self.pauses.until().map(|until| until.saturating_duration_since(Instant::now()));
                self.course.progress.pause(until.map(|rest| moment::later(moment::now(), rest)));
            }
            Err(reason) => {
                self.stopped.get_or_insert(reason);
            }
        }
    }

    /// A write has ended.
    pub(super) fn written(&mut self, written: Written) {
        let Written { recorded, unrecorded, error } = written;
        // Of those that are not recorded, none is renewed: each is free when its lease is over, and not before.
        for (id, _) in recorded.iter().chain(&unrecorded) {
            self.pages.let_go(*id);
        }
        if let Some(error) = error {
            self.unrecorded(&unrecorded, error);
        }
        let count = |end| recorded.iter().filter(|(_, other)| *other == end).count() as u64;
        let (redriven, too_often, unsendable) =
            (count(End::Redriven), count(End::SetAside), count(End::Unsendable));
        let (failed, set_aside) = (count(End::Failed) + too_often, too_often + unsendable);
        self.needs_person(unsendable);
        let matched = self.newly_matched();
        self.course.progress.update(|report| {
            report.matched += matched;
            report.redriven += redriven;
            report.failed += failed;
            report.set_aside += set_aside;
        });
        self.core.count(|counts| {
            counts.redriven += redriven;
            counts.redrive_failures += failed;
            counts.set_aside += set_aside;
            counts.set_aside_unsendable += unsendable;
        });
    }

    /// The store did not take the ends of these letters, whatever was tried.
    fn unrecorded(&mut self, ends: &[(LetterId, End)], error: StoreError) {
        let sent = ends.iter().filter(|(_, end)| *end != End::Released).count() as u64;
        let through = ends.iter().filter(|(_, end)| *end == End::Redriven).count();
        let mut before = 0;
        self.course.progress.update(|report| {
            before = report.unrecorded;
            report.unrecorded += sent;
        });
        if sent > 0 && before == 0 {
            tracing::warn!(
                queue = &*self.core.name,
                unrecorded = sent,
                got_through = through,
                "the store does not take what became of dead letters that were sent: those that got through are sent \
                 again later, and those that failed wait without this attempt: {error}"
            );
        }
        // Each letter more that gets through would be sent twice.
        if through > 0 {
            self.error.get_or_insert(error);
        }
    }
}
