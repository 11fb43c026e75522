//! Which letters a run means.

use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::store::{Filter, LetterId, StoreError};

/// The letters that are here now: what is parked from now on belongs to the next run, since this one must come to an
/// end.
///
/// An id tells when it was made, by the clock of the process that made it. So letters are walked in two parts: those
/// whose ids are no later than now, and then those that lie ahead, because a clock was set back or another machine's is
/// ahead. What this process parks meanwhile lies between both; of the second part no more are taken than there were.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    /// What is walked first.
    pub(super) present: Filter,
    ahead: Option<Filter>,
    /// The most letters of both parts.
    limit: Option<usize>,
}

impl Meant {
    /// Those that `filter` lets through; what is set aside only if it asks for it. At most `ahead` of those ahead.
    pub(super) fn new(filter: &Filter, ahead: usize) -> Self {
        let now = LetterId::new();
        let all = Filter { set_aside: Some(filter.set_aside.unwrap_or(false)), ..filter.clone() };
        let later = all.up_to.is_none_or(|up_to| up_to > now).then(|| Filter {
            after: Some(all.after.map_or(now, |id| id.max(now))),
            limit: Some(ahead),
            ..all.clone()
        });
        let present = Filter { up_to: Some(all.up_to.map_or(now, |id| id.min(now))), ..all };
        Self { limit: present.limit, present, ahead: later }
    }

    /// The same, of which none is ahead that is not there yet; and how many they are.
    pub(super) async fn counted(core: &Core, filter: &Filter) -> Result<(Self, u64), StoreError> {
        let mut meant = Self::new(filter, usize::MAX);
        let mut total = core.ask(Operation::Count, |store| store.count(&core.name, &meant.present)).await?;
        if let Some(ahead) = &mut meant.ahead {
            let all = Filter { limit: None, ..ahead.clone() };
            let there = core.ask(Operation::Count, |store| store.count(&core.name, &all)).await?;
            ahead.limit = Some(usize::try_from(there).unwrap_or(usize::MAX));
            total += there;
        }
        Ok((meant.clone(), meant.limit.map_or(total, |limit| total.min(limit as u64))))
    }

    /// What is walked when the first part has come to its end, with `taken` letters.
    pub(super) fn then(&mut self, taken: usize) -> Option<Filter> {
        let ahead = self.ahead.take()?;
        // What was parked since this began lies before this.
        let now = LetterId::new();
        let left = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(taken));
        let limit = ahead.limit.map_or(left, |limit| limit.min(left));
        let after = Some(ahead.after.map_or(now, |id| id.max(now)));
        (limit > 0).then_some(Filter { after, limit: Some(limit), ..ahead })
    }
}
