//! Letters that were set aside get another chance.

use std::sync::Arc;
use std::time::Duration;

use super::meant::Meant;
use crate::base::moment;
use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::store::{Claim, Entry, LetterFilter, Owner, Settled, StoreError};

/// Letters that are changed at once.
const PAGE: usize = 256;

/// The bytes of a page, to which the last letter may add.
const BYTES: u64 = 4 * 1024 * 1024;

/// How long a page may take.
const LEASE: Duration = Duration::from_secs(30);

/// Brings the letters back that `filter` lets through and that are set aside; tells how many.
pub(super) async fn run(core: &Arc<Core>, filter: &LetterFilter) -> Result<u64, StoreError> {
    let owner = Owner::new();
    let (mut meant, _) = Meant::counted(core, &filter.clone().set_aside(true)).await?;
    let mut changed = 0;
    while let Some((page, size)) = meant.page(PAGE) {
        let claim = Claim { owner, now: moment::now(), lease: LEASE, due_by: None, bytes: BYTES };
        let entries = core.ask(Operation::Claim, |store| store.claim(&core.name, &page, claim)).await?;
        let (last, found) = (entries.last().map(|entry| entry.id), entries.len());
        let bytes: u64 = entries.iter().map(Entry::size).sum();
        let settled = entries.into_iter().map(|entry| {
            let id = entry.id;
            let mut letter = Letter::from_entry(entry);
            letter.set_aside = false;
            letter.redrives = 0;
            letter.due = None;
            letter.unsendable = letter.flaw();
            letter.into_entry().map_or(Settled::Released(id), Settled::Changed)
        });
        let settled: Vec<Settled> = settled.collect();
        let these: Vec<bool> = settled.iter().map(|settled| matches!(settled, Settled::Changed(_))).collect();
        let done = core.ask(Operation::Settle, |store| store.settle(&core.name, owner, settled)).await?;
        changed += done.into_iter().zip(these).filter(|(done, meant)| *done && *meant).count() as u64;
        meant.go_on(found, last, found >= size || bytes >= BYTES);
    }
    core.redrives.schedule.note(Some(moment::now()));
    Ok(changed)
}
