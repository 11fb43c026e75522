//! Counts what a redrive would send.

use std::sync::Arc;

use super::request::{Redrivable, Skipped, request};
use super::settings::Redrive;
use super::walk::Walk;
use crate::base::moment;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::dead_letter::running::RedriveReport;
use crate::store::StoreError;

/// The maximum number of letters of a page.
const PAGE: usize = 256;

/// Claims and changes nothing.
pub(super) async fn run<Req, Via, Res, E>(
    core: &Arc<Core>,
    redrive: &Redrive,
) -> Result<RedriveReport, StoreError>
where
    Req: Redrivable<Via, Res, E>,
{
    let mut report = RedriveReport::default();
    let (mut walk, _) = Walk::counted(&core.store, &redrive.filter).await?;
    while let Some((page, size)) = walk.page(PAGE) {
        let entries = core.store.list(&page).await?;
        let (last, found) = (entries.last().map(|entry| entry.id), entries.len());
        for entry in entries.into_iter().filter(|entry| !entry.has_expired(moment::now())) {
            report.matched += 1;
            if let Err(Skipped { why, .. }) =
                request::<Req, Via, Res, E>(core, &Letter::from_entry(entry), false)
            {
                report.skipped += 1;
                *report.skipped_by.entry(why).or_default() += 1;
            }
        }
        walk.advance(found, last, found >= size);
    }
    Ok(report)
}
