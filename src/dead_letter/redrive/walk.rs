//! Walks over the letters of a run, page by page.

use crate::dead_letter::queue_store::QueueStore;
use crate::store::{LetterFilter, LetterId, StoreError};

/// A walk over the letters that wait when it starts. Letters that are parked later belong to the next run, so that each run
/// ends.
///
/// An id contains the time at which it was made, by the clock of its process. So the walk has two parts: first the letters
/// whose ids are not later than now, then those whose ids are later, because a clock was set back or that of another
/// machine is ahead. Letters that this process parks meanwhile are between the parts. The second part is limited to the
/// number of letters that it had at the start.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The rest of the current part; `None` at the end of the walk.
    rest: Option<LetterFilter>,
    /// The second part, until it is the current one.
    ahead: Option<LetterFilter>,
    /// The maximum number of letters of both parts.
    limit: Option<usize>,
    /// How many letters were found.
    taken: usize,
}

impl Walk {
    /// A walk over the letters that match `filter`, with at most `ahead` letters in its second part. Letters that are set
    /// aside match only if the filter asks for them.
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

    /// A walk whose second part is limited to the letters that wait now, and the number of all its letters.
    pub(super) async fn counted(
        store: &QueueStore,
        filter: &LetterFilter,
    ) -> Result<(Self, u64), StoreError> {
        let mut walk = Self::new(filter, usize::MAX);
        let mut total = 0;
        if let Some(present) = &walk.rest {
            total = store.count(present).await?;
        }
        if let Some(ahead) = &mut walk.ahead {
            let all = LetterFilter { limit: None, ..ahead.clone() };
            let there = store.count(&all).await?;
            ahead.limit = Some(usize::try_from(there).unwrap_or(usize::MAX));
            total += there;
        }
        let total = walk.limit.map_or(total, |limit| total.min(limit as u64));
        Ok((walk, total))
    }

    /// The filter of the next page and its size, at most `size`; `None` at the end.
    pub(super) fn page(&self, size: usize) -> Option<(LetterFilter, usize)> {
        let rest = self.rest.as_ref()?;
        let size = rest.limit.map_or(size, |limit| limit.min(size));
        Some((rest.clone().limit(size), size))
    }

    /// Continues after a page with `found` letters, of which `last` was the last. `more` says that the page was full.
    pub(super) fn advance(&mut self, found: usize, last: Option<LetterId>, more: bool) {
        self.taken += found;
        let rest = self.rest.take().filter(|_| more).zip(last);
        let rest = rest.map(|(rest, last)| LetterFilter {
            limit: rest.limit.map(|limit| limit.saturating_sub(found)),
            after: Some(last),
            ..rest
        });
        self.rest = rest.filter(|rest| rest.limit != Some(0)).or_else(|| self.second_part());
    }

    /// Ends the walk.
    pub(super) fn end(&mut self) {
        (self.rest, self.ahead) = (None, None);
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }

    /// The second part, when the first one has ended.
    fn second_part(&mut self) -> Option<LetterFilter> {
        let ahead = self.ahead.take()?;
        // Letters that this process parked since the start have earlier ids.
        let now = LetterId::new();
        let left = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.taken));
        let limit = ahead.limit.map_or(left, |limit| limit.min(left));
        let after = Some(ahead.after.map_or(now, |id| id.max(now)));
        (limit > 0).then_some(LetterFilter { after, limit: Some(limit), ..ahead })
    }
}
