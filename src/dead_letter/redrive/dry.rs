//! What a redrive would send.

use std::sync::Arc;

use super::RedriveReport;
use super::meant::Meant;
use super::request::Redrivable;
use super::settings::Redrive;
use super::unsent;
use crate::base::moment;
use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::store::StoreError;

/// Letters that are read at once.
const PAGE: usize = 256;

/// Counts, and neither claims nor changes anything.
pub(super) async fn run<Req, Via>(core: &Arc<Core>, redrive: &Redrive) -> Result<RedriveReport, StoreError>
where
    Req: Redrivable<Via>,
{
    let mut report = RedriveReport::default();
    let (mut meant, _) = Meant::counted(core, &redrive.filter).await?;
    while let Some((page, size)) = meant.page(PAGE) {
        let entries = core.ask(Operation::List, |store| store.list(&core.name, &page)).await?;
        let (last, found) = (entries.last().map(|entry| entry.id), entries.len());
        for entry in entries.into_iter().filter(|entry| !entry.has_expired(moment::now())) {
            report.matched += 1;
            if let Err(why) = unsent::request::<Req, Via>(core, &Letter::from_entry(entry)) {
                report.skipped += 1;
                *report.skipped_by.entry(why).or_default() += 1;
            }
        }
        meant.go_on(found, last, found >= size);
    }
    Ok(report)
}
