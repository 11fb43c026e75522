//! A filter as the scripts read it.

use std::time::SystemTime;

use super::keys::escaped;
use crate::base::moment::micros;
use crate::store::{LetterFilter, LetterId};

/// What a walk over letters looks for, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// What the members of the index begin with that are walked; all ids if it is empty.
    source: String,
    /// The last letter that was looked at.
    pub(super) after: String,
    up_to: String,
    id: String,
    component: String,
    kind: &'static str,
    print: String,
    aside: &'static str,
    latest: String,
    earliest: String,
    /// How many are still wanted.
    pub(super) limit: usize,
    /// Whether nothing but the range of the source decides.
    pub(super) exact: bool,
}

impl Search {
    pub(super) fn new(filter: &LetterFilter, now: SystemTime) -> Self {
        let text = |id: Option<LetterId>| id.map(|id| id.to_string()).unwrap_or_default();
        let micros = |moment| Option::map_or(moment, String::new(), |moment| micros(moment).to_string());
        let component = filter.component.as_deref().map(escaped);
        let print = filter.fingerprint.map(|print| print.to_string());
        let aside = filter.set_aside.map(|aside| if aside { "1" } else { "0" });
        // The narrowest first: a cause is of one component, mostly.
        let sources = [
            print.as_ref().map(|print| format!("f:{print}:")),
            component.as_ref().map(|component| format!("c:{component}:")),
            filter.kind.map(|kind| format!("k:{}:", kind.as_str())),
            aside.map(|aside| format!("s:{aside}:")),
        ];
        let (latest, earliest) = (filter.latest(now), filter.earliest(now));
        Self {
            exact: sources.iter().flatten().count() <= 1
                && latest.is_none()
                && earliest.is_none()
                && filter.id.is_none(),
            source: sources.into_iter().flatten().next().unwrap_or_default(),
            after: text(filter.after),
            up_to: text(filter.up_to),
            id: text(filter.id),
            component: component.map(|component| format!("={component}")).unwrap_or_default(),
            kind: filter.kind.map_or("", |kind| kind.as_str()),
            print: print.unwrap_or_default(),
            aside: aside.unwrap_or_default(),
            latest: micros(latest),
            earliest: micros(earliest),
            limit: filter.limit.unwrap_or(usize::MAX),
        }
    }

    /// What a script is given of it.
    pub(super) fn args(&self) -> impl Iterator<Item = Vec<u8>> {
        let limit = self.limit.min(1 << 40).to_string();
        let texts: [&str; 11] = [
            &self.source,
            &self.after,
            &self.up_to,
            &self.id,
            &self.component,
            self.kind,
            &self.print,
            self.aside,
            &self.latest,
            &self.earliest,
            &limit,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into_iter()
    }

    /// Goes on after what a script looked at last, with so many less to find; whether there is more to do.
    pub(super) fn go_on(&mut self, cursor: String, found: usize) -> bool {
        self.limit = self.limit.saturating_sub(found);
        self.after = cursor;
        self.limit > 0 && !self.after.is_empty()
    }
}
