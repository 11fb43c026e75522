//! What a redrive would send.

use std::sync::Arc;

use super::RedriveReport;
use super::meant::Meant;
use super::request::Redrivable;
use super::settings::Redrive;
use super::unsent;
use crate::dead_letter::asking::Operation;
use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Letter;
use crate::moment;
use crate::store::{Filter, StoreError};

/// Letters that are read at once.
const PAGE: usize = 256;

/// Counts, and neither claims nor changes anything.
pub(super) async fn run<Req, Via>(core: &Arc<Core>, redrive: &Redrive) -> Result<RedriveReport, StoreError>
where
    Req: Redrivable<Via>,
{
    let mut report = RedriveReport::default();
    let (mut meant, _) = Meant::counted(core, &redrive.filter).await?;
    let (mut rest, mut taken) = (meant.present.clone(), 0);
    loop {
        let size = rest.limit.map_or(PAGE, |limit| limit.min(PAGE));
        let page = rest.clone().limit(size);
        let entries = core.ask(Operation::List, |store| store.list(&core.name, &page)).await?;
        let (last, found) = (entries.last().map(|entry| entry.id), entries.len());
        for entry in entries.into_iter().filter(|entry| !entry.has_expired(moment::now())) {
            report.matched += 1;
            if let Err(why) = unsent::request::<Req, Via>(core, &Letter::from_entry(entry)) {
                report.skipped += 1;
                *report.skipped_by.entry(why).or_default() += 1;
            }
        }
        taken += found;
        if found < size || rest.limit == Some(found) {
            match meant.then(taken) {
                Some(then) => rest = then,
                None => return Ok(report),
            }
            continue;
        }
        rest = Filter { limit: rest.limit.map(|limit| limit - found), after: last, ..rest };
    }
}
