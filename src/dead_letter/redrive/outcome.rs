//! What the end of a call, a letter that cannot be sent, or a write to the store means for the run.

use std::time::Duration;

use tokio::time::Instant;

use super::request::{Skipped, Verdict};
use super::settler::{End, Written};
use super::state::{EndedCall, Run};
use crate::base::moment;
use crate::dead_letter::failure::{FailedCall, Failure};
use crate::dead_letter::letter::Letter;
use crate::store::{LetterId, Settled, StoreError};

impl Run<'_> {
    /// Handles the end of a call.
    pub(super) fn call_ended(&mut self, call: EndedCall) {
        let EndedCall { letter, verdict, took, record } = call;
        match verdict {
            Verdict::Delivered => {
                self.pause.admitted(true);
                let _never = self.failures.count(false);
                self.settler.push(Settled::Delivered(letter.id), End::Delivered);
            }
            Verdict::Failed(failure) => self.failed(letter, FailedCall { failure, took, record }),
            Verdict::Rejected(retry_after) => {
                // If a retry in the stack was rejected after an attempt that was sent, the letter has failed. Otherwise a
                // letter that opens the circuit each time would never fail, and would delay all others.
                let sent = record
                    .arrived()
                    .map(|tried| Failure::new(tried.kind, tried.error_type.as_str(), &tried.message));
                match sent {
                    Some(failure) => self.failed(letter, FailedCall { failure, took, record }),
                    None => self.claims.put_back(letter),
                }
                self.pause(retry_after);
            }
        }
    }

    /// Records that a letter failed, and sets it aside if it failed too often.
    fn failed(&mut self, mut letter: Box<Letter>, call: FailedCall) {
        self.pause.admitted(false);
        if let Some(reason) = self.failures.count(true) {
            self.stopped.get_or_insert(reason);
        }
        letter.record_failure(call, &self.core.redactor);
        let limit = self.job.redrive.set_aside_limit(self.job.automatic);
        let set_aside = limit > 0 && letter.redrives >= limit && !letter.set_aside;
        if set_aside {
            letter.set_aside = true;
            tracing::warn!(
                queue = &*self.core.name,
                letter = %letter.id,
                redrives = letter.redrives,
                "a dead letter was set aside, because every redrive failed; `bring_back` releases it: {}",
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
                self.settler.push(Settled::Failed(entry), end);
            }
            Err(error) => {
                self.error.get_or_insert(StoreError::other(error));
                self.settler.push(Settled::Released(id), End::Released);
            }
        }
    }

    fn pause(&mut self, retry_after: Option<Duration>) {
        match self.pause.rejected(retry_after) {
            Ok(longer) => {
                self.job.progress.update(|report| report.paused += longer);
                let until = self.pause.until().map(|until| until.saturating_duration_since(Instant::now()));
                self.job.progress.pause(until.map(|rest| moment::later(moment::now(), rest)));
            }
            Err(reason) => {
                self.stopped.get_or_insert(reason);
            }
        }
    }

    /// Skips a letter that cannot be sent. In the background, the letter waits longer each time, and is set aside in the
    /// end.
    pub(super) fn skip(&mut self, mut letter: Box<Letter>, skipped: Skipped) {
        let Skipped { why, detail } = skipped;
        self.job.progress.update(|report| {
            report.skipped += 1;
            *report.skipped_by.entry(why).or_default() += 1;
        });
        let id = letter.id;
        if !self.job.automatic {
            return self.settler.push(Settled::Released(id), End::Released);
        }
        let redrives = &self.core.redrives;
        let skips = redrives.skipped.skip(id);
        let times = skips.map_or(u32::MAX, |skips| skips.times);
        if times == 1 {
            *self.skips.first.entry(why).or_default() += 1;
        }
        if let Some(detail) = detail {
            self.skips.unreadable.get_or_insert((id, detail));
        }
        let limit = self.job.redrive.set_aside_limit(true);
        let set_aside = limit > 0 && (times >= limit || !why.may_pass()) && !letter.set_aside;
        let delay = redrives.schedule.delay(times - 1, skips.map_or(Duration::ZERO, |skips| skips.delay));
        letter.unsendable = Some(why);
        letter.due = delay.map(|delay| moment::later(moment::now(), delay));
        if set_aside {
            letter.set_aside = true;
            redrives.skipped.remove(id);
        } else {
            redrives.skipped.set_delay(id, delay.unwrap_or_default());
        }
        match letter.into_entry() {
            Ok(entry) => {
                let end = if set_aside { End::Unsendable } else { End::Released };
                self.settler.push(Settled::Changed(entry), end);
            }
            Err(_) => self.settler.push(Settled::Released(id), End::Released),
        }
    }

    /// Logs the letters that the run skipped: the first time, and each time their number doubles.
    pub(super) fn log_skips(&self) {
        let Some((letters, set_aside)) = self.core.redrives.skipped.add(&self.skips) else {
            return;
        };
        let new: Vec<String> =
            self.skips.first.iter().map(|(why, letters)| format!("{} {letters}", why.as_str())).collect();
        // The name of a field can be a key of a map, and so a value of the user.
        let other_type = self.skips.unreadable.as_ref().map(|(id, detail)| {
            let detail = self.core.redactor.message(detail).unwrap_or_else(|| detail.clone());
            format!("letter {id}: {detail}")
        });
        tracing::warn!(
            queue = &*self.core.name,
            letters,
            set_aside,
            new = new.join(", "),
            other_type,
            "dead letters cannot be sent as they are; after a deploy that can send them, `bring_back` releases those that \
             were set aside"
        );
    }

    /// Handles the end of a write.
    pub(super) fn written(&mut self, written: Written) {
        let Written { recorded, unrecorded, error } = written;
        // Claims of unrecorded letters are not renewed: the letters can be claimed when their leases are over, not before.
        for (id, _) in recorded.iter().chain(&unrecorded) {
            self.claims.remove(*id);
        }
        if let Some(error) = error {
            self.unrecorded(&unrecorded, error);
        }
        let count = |end| recorded.iter().filter(|(_, other)| *other == end).count() as u64;
        let (redriven, too_often, unsendable) =
            (count(End::Delivered), count(End::SetAside), count(End::Unsendable));
        let (failed, set_aside) = (count(End::Failed) + too_often, too_often + unsendable);
        self.skips.set_aside += unsendable;
        let matched = self.newly_matched();
        self.job.progress.update(|report| {
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

    /// Handles results that the store did not record, after all retries.
    fn unrecorded(&mut self, ends: &[(LetterId, End)], error: StoreError) {
        let sent = ends.iter().filter(|(_, end)| *end != End::Released).count() as u64;
        let delivered = ends.iter().filter(|(_, end)| *end == End::Delivered).count();
        let mut before = 0;
        self.job.progress.update(|report| {
            before = report.unrecorded;
            report.unrecorded += sent;
        });
        if sent > 0 && before == 0 {
            tracing::warn!(
                queue = &*self.core.name,
                unrecorded = sent,
                got_through = delivered,
                "the store failed to record the results of dead letters that were sent: those that were delivered will be \
                 sent again, and those that failed wait without this attempt: {error}"
            );
        }
        // Each further letter that is delivered would be sent twice.
        if delivered > 0 {
            self.error.get_or_insert(error);
        }
    }
}
