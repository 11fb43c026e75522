//! Releases letters that were set aside.

use std::time::Duration;

use super::walk::Walk;
use crate::base::moment;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::store::{Claim, Entry, LetterFilter, Owner, Settled, StoreError};

/// The maximum number of letters of a page.
const PAGE: usize = 256;

/// The maximum number of bytes of a page. The last letter may exceed it.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// How long the letters of a page are claimed.
const LEASE: Duration = Duration::from_secs(30);

/// Releases the letters that match `filter` and are set aside, and returns their number.
pub(super) async fn run(core: &Core, filter: &LetterFilter) -> Result<u64, StoreError> {
    let owner = Owner::new();
    let (mut walk, _) = Walk::counted(&core.store, &filter.clone().set_aside(true)).await?;
    let mut changed = 0;
    while let Some((page, size)) = walk.page(PAGE) {
        let claim = Claim { owner, now: moment::now(), lease: LEASE, due_by: None, bytes: PAGE_BYTES };
        let entries = core.store.claim(&page, claim).await?;
        let (last, found) = (entries.last().map(|entry| entry.id), entries.len());
        let bytes: u64 = entries.iter().map(Entry::size).sum();
        let settled: Vec<Settled> = entries.into_iter().map(release).collect();
        let is_change: Vec<bool> =
            settled.iter().map(|settled| matches!(settled, Settled::Changed(_))).collect();
        let done = core.store.settle(owner, settled).await?;
        changed += done.into_iter().zip(is_change).filter(|(done, change)| *done && *change).count() as u64;
        walk.advance(found, last, found >= size || bytes >= PAGE_BYTES);
    }
    core.redrives.schedule.note(Some(moment::now()));
    Ok(changed)
}

fn release(entry: Entry) -> Settled {
    let id = entry.id;
    let mut letter = Letter::from_entry(entry);
    letter.set_aside = false;
    letter.redrives = 0;
    letter.due = None;
    letter.unsendable = letter.flaw();
    letter.into_entry().map_or(Settled::Released(id), Settled::Changed)
}
