//! Which letters a run means, and the walk over them page by page.

use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::store::{LetterFilter, LetterId, StoreError};

/// The letters that are here now: what is parked from now on belongs to the next run, since this one must come to an
/// end.
///
/// An id tells when it was made, by the clock of the process that made it. So letters are walked in two parts: those
/// whose ids are no later than now, and then those that lie ahead, because a clock was set back or another machine's is
/// ahead. What this process parks meanwhile lies between both; of the second part no more are taken than there were.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    /// What is left of the part that is walked; none at the end of both.
    rest: Option<LetterFilter>,
    ahead: Option<LetterFilter>,
    /// The most letters of both parts.
    limit: Option<usize>,
    /// Letters that were found.
    taken: usize,
}

impl Meant {
    /// Those that `filter` lets through; what is set aside only if it asks for it. At most `ahead` of those ahead.
    pub(super) fn new(filter: &LetterFilter, ahead: usize) -> Self {
        let now = LetterId::new();
        let all = LetterFilter { set_aside: Some(filter.set_aside.unwrap_or(false)), ..filter.clone() };
        let later = all.up_to.is_none_or(|up_to| up_to > now).then(|| LetterFilter {
            after: Some(all.after.map_or(now, |id| id.max(now))),
            limit: Some(ahead),
            ..all.clone()
        });
        let present = LetterFilter { up_to: Some(all.up_to.map_or(now, |id| id.min(now))), ..all };
        Self { limit: present.limit, rest: Some(present), ahead: later, taken: 0 }
    }

    /// The same, of which none is ahead that is not there yet; and how many they are.
    pub(super) async fn counted(core: &Core, filter: &LetterFilter) -> Result<(Self, u64), StoreError> {
        let mut meant = Self::new(filter, usize::MAX);
        let mut total = 0;
        if let Some(present) = &meant.rest {
            total = core.ask(Operation::Count, |store| store.count(&core.name, present)).await?;
        }
        if let Some(ahead) = &mut meant.ahead {
            let all = LetterFilter { limit: None, ..ahead.clone() };
            let there = core.ask(Operation::Count, |store| store.count(&core.name, &all)).await?;
            ahead.limit = Some(usize::try_from(there).unwrap_or(usize::MAX));
            total += there;
        }
        let total = meant.limit.map_or(total, |limit| total.min(limit as u64));
        Ok((meant, total))
    }

    /// The next page, of at most `size` letters; `None` at the end.
    pub(super) fn page(&self, size: usize) -> Option<(LetterFilter, usize)> {
        let rest = self.rest.as_ref()?;
        let size = rest.limit.map_or(size, |limit| limit.min(size));
        Some((rest.clone().limit(size), size))
    }

    /// Goes on behind a page on which `found` letters were, the last of them `last`. `more` tells that it was full.
    pub(super) fn go_on(&mut self, found: usize, last: Option<LetterId>, more: bool) {
        self.taken += found;
        let rest = self.rest.take().filter(|_| more).zip(last);
        let rest = rest.map(|(rest, last)| LetterFilter {
            limit: rest.limit.map(|limit| limit.saturating_sub(found)),
            after: Some(last),
            ..rest
        });
        self.rest = rest.filter(|rest| rest.limit != Some(0)).or_else(|| self.then());
    }

    /// Ends the walk here.
    pub(super) fn end(&mut self) {
        (self.rest, self.ahead) = (None, None);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }

    /// The second part, when the first one has come to its end.
    fn then(&mut self) -> Option<LetterFilter> {
        let ahead = self.ahead.take()?;
        // What was parked since this began lies before this.
        let now = LetterId::new();
        let left = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.taken));
        let limit = ahead.limit.map_or(left, |limit| limit.min(left));
        let after = Some(ahead.after.map_or(now, |id| id.max(now)));
        (limit > 0).then_some(LetterFilter { after, limit: Some(limit), ..ahead })
    }
}
