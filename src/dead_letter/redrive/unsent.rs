//! Letters that cannot be sent.
//!
//! A redrive by hand tells of them and leaves them as they are. One in the background would claim and release them for
//! ever: it looks at each again after a growing delay, and sets it aside for a person in the end, or at once where no
//! other version of the program could send it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Redriven;
use super::request::Redrivable;
use super::run::Run;
use super::settling::End;
use crate::base::moment;
use crate::base::panics::catch;
use crate::base::sync::Mutex;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::unsendable::Unsendable;
use crate::store::{LetterId, Settled};

/// Letters whose looks are counted. When there are more, those beyond are set aside at the first.
const COUNTED: usize = 10_000;

/// The request of `letter`, or why it cannot be sent.
pub(super) fn request<Req, Via>(core: &Arc<Core>, letter: &Letter) -> Result<Req, Unsendable>
where
    Req: Redrivable<Via>,
{
    if let Some(flaw) = letter.flaw() {
        return Err(flaw);
    }
    // Code of the user: one letter on which it panics must not end a redrive.
    let made = catch(|| Req::from_letter(letter, Redriven::new(core, letter)));
    made.ok().and_then(Result::ok).ok_or(Unsendable::OtherType)
}

/// What this process knows of letters that it could not send.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Unsent(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    looks: BTreeMap<LetterId, Look>,
    /// Letters that were looked at for the first time, and that were set aside.
    first: u64,
    aside: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    times: u32,
    delay: Duration,
}

impl Unsent {
    /// One more look at the letter; the delay of the one before, and which it is. None when too many are counted.
    fn look(&self, id: LetterId) -> Option<Look> {
        let mut known = self.0.lock();
        if known.looks.len() >= COUNTED && !known.looks.contains_key(&id) {
            return None;
        }
        let look = known.looks.entry(id).or_default();
        look.times += 1;
        Some(*look)
    }

    fn delayed(&self, id: LetterId, delay: Duration) {
        if let Some(look) = self.0.lock().looks.get_mut(&id) {
            look.delay = delay;
        }
    }

    /// The letter is set aside, or could be sent.
    pub(super) fn forget(&self, id: LetterId) {
        self.0.lock().looks.remove(&id);
    }

    /// Counts what a pass met with; gives the numbers of all passes when one of them has doubled since they were last
    /// given.
    fn note(&self, met: &Met) -> Option<(u64, u64)> {
        let mut known = self.0.lock();
        let before = (known.first, known.aside);
        known.first += met.first.values().sum::<u64>();
        known.aside += met.aside;
        let doubled = |before: u64, now: u64| now.checked_ilog2() > before.checked_ilog2();
        (doubled(before.0, known.first) || doubled(before.1, known.aside))
            .then_some((known.first, known.aside))
    }
}

/// What one pass met with.
#[derive(Debug, Default)]
pub(super) struct Met {
    first: BTreeMap<Unsendable, u64>,
    aside: u64,
}

impl Run<'_> {
    /// A letter cannot be sent.
    pub(super) fn skip(&mut self, mut letter: Box<Letter>, why: Unsendable) {
        self.course.progress.update(|report| {
            report.skipped += 1;
            *report.skipped_by.entry(why).or_default() += 1;
        });
        let id = letter.id;
        if !self.course.automatic {
            return self.settling.push(Settled::Released(id), End::Released);
        }
        let redrives = &self.core.redrives;
        let look = redrives.unsent.look(id);
        let times = look.map_or(u32::MAX, |look| look.times);
        if times == 1 {
            *self.met.first.entry(why).or_default() += 1;
        }
        let most = self.course.redrive.set_aside_after;
        let enough = times >= most || !why.may_pass();
        let aside = most > 0 && enough && !letter.set_aside;
        let delay = redrives.schedule.delay(times - 1, look.map_or(Duration::ZERO, |look| look.delay));
        letter.unsendable = Some(why);
        letter.due = delay.map(|delay| moment::later(moment::now(), delay));
        if aside {
            letter.set_aside = true;
            redrives.unsent.forget(id);
        } else {
            redrives.unsent.delayed(id, delay.unwrap_or_default());
        }
        match letter.into_entry() {
            Ok(entry) => {
                let end = if aside { End::Unsendable } else { End::Released };
                self.settling.push(Settled::Changed(entry), end);
            }
            Err(_) => self.settling.push(Settled::Released(id), End::Released),
        }
    }

    /// Counts letters that are set aside because they cannot be sent.
    pub(super) fn needs_person(&mut self, letters: u64) {
        self.met.aside += letters;
    }

    /// Tells of the letters that the run could not send: one line, and each time that their number doubles.
    pub(super) fn tell_of_unsent(&self) {
        if let Some((letters, set_aside)) = self.core.redrives.unsent.note(&self.met) {
            let by: Vec<String> =
                self.met.first.iter().map(|(why, letters)| format!("{} {letters}", why.as_str())).collect();
            tracing::warn!(
                queue = &*self.core.name,
                letters,
                set_aside,
                new = by.join(", "),
                "dead letters cannot be sent as they are; those that are set aside wait for `bring_back`, after a deploy \
                 that can send them"
            );
        }
    }
}
