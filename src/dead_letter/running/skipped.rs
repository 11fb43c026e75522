//! Letters that redrives in the background could not send.
//!
//! A redrive in the background skips such a letter, and reads it again after a growing delay. When it has skipped the letter
//! too often, or if no other version of the program could send it, it sets the letter aside. This module counts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::sync::Mutex;
use crate::dead_letter::letter::Unsendable;
use crate::store::LetterId;

/// The largest number of letters whose skips are counted. Letters beyond it are set aside when they are first skipped.
const MAX_COUNTED: usize = 10_000;

/// The letters that this process could not send.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct SkippedLetters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    skips: BTreeMap<LetterId, Skips>,
    /// How many letters were skipped at least once.
    skipped: u64,
    set_aside: u64,
}

/// The skips of one letter.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dead_letter) struct Skips {
    pub(in crate::dead_letter) times: u32,
    /// The last delay.
    pub(in crate::dead_letter) delay: Duration,
}

impl SkippedLetters {
    /// Counts a skip. Returns the number of skips, and the delay after the one before. `None` if the letter is not counted.
    pub(in crate::dead_letter) fn skip(&self, id: LetterId) -> Option<Skips> {
        let mut state = self.0.lock();
        if state.skips.len() >= MAX_COUNTED && !state.skips.contains_key(&id) {
            return None;
        }
        let skips = state.skips.entry(id).or_default();
        skips.times += 1;
        Some(*skips)
    }

    /// Sets the delay after the last skip.
    pub(in crate::dead_letter) fn set_delay(&self, id: LetterId, delay: Duration) {
        if let Some(skips) = self.0.lock().skips.get_mut(&id) {
            skips.delay = delay;
        }
    }

    /// Forgets a letter that was set aside.
    pub(in crate::dead_letter) fn remove(&self, id: LetterId) {
        self.0.lock().skips.remove(&id);
    }

    /// Adds the counts of a pass. Returns the numbers of skipped letters and of those set aside, over all passes, if one of
    /// them has doubled.
    pub(in crate::dead_letter) fn add(&self, pass: &PassSkips) -> Option<(u64, u64)> {
        let mut state = self.0.lock();
        let before = (state.skipped, state.set_aside);
        state.skipped += pass.first.values().sum::<u64>();
        state.set_aside += pass.set_aside;
        let doubled = |before: u64, now: u64| now.checked_ilog2() > before.checked_ilog2();
        (doubled(before.0, state.skipped) || doubled(before.1, state.set_aside))
            .then_some((state.skipped, state.set_aside))
    }
}

/// The skips of one pass.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct PassSkips {
    /// Letters that were skipped for the first time, by reason.
    pub(in crate::dead_letter) first: BTreeMap<Unsendable, u64>,
    /// Letters that were set aside because they cannot be sent.
    pub(in crate::dead_letter) set_aside: u64,
    /// Why one of the letters of another type cannot be read.
    pub(in crate::dead_letter) unreadable: Option<(LetterId, String)>,
}
