//! A filter as arguments of a script.

use std::time::SystemTime;

use super::keys::escaped;
use crate::base::moment::micros;
use crate::store::{LetterFilter, LetterId};

/// A search through the letters of a queue, and its position.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// The prefix of the index members to visit. Empty: visit all ids.
    source: String,
    /// The last letter that was visited.
    pub(super) after: String,
    up_to: String,
    id: String,
    component: String,
    kind: &'static str,
    fingerprint: String,
    aside: &'static str,
    latest: String,
    earliest: String,
    /// How many letters are still to be found.
    pub(super) limit: usize,
    /// Whether every letter in the range of `source` matches.
    pub(super) exact: bool,
}

impl Search {
    pub(super) fn new(filter: &LetterFilter, now: SystemTime) -> Self {
        let text = |id: Option<LetterId>| id.map(|id| id.to_string()).unwrap_or_default();
        let micros = |moment| Option::map_or(moment, String::new(), |moment| micros(moment).to_string());
        let component = filter.component.as_deref().map(escaped);
        let fingerprint = filter.fingerprint.map(|fingerprint| fingerprint.to_string());
        let aside = filter.set_aside.map(|aside| if aside { "1" } else { "0" });
        // The most selective first. Most fingerprints occur in one component only.
        let sources = [
            fingerprint.as_ref().map(|fingerprint| format!("f:{fingerprint}:")),
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
            fingerprint: fingerprint.unwrap_or_default(),
            aside: aside.unwrap_or_default(),
            latest: micros(latest),
            earliest: micros(earliest),
            limit: filter.limit.unwrap_or(usize::MAX),
        }
    }

    /// The arguments of a script.
    pub(super) fn args(&self) -> impl Iterator<Item = Vec<u8>> {
        let limit = self.limit.min(1 << 40).to_string();
        let texts: [&str; 11] = [
            &self.source,
            &self.after,
            &self.up_to,
            &self.id,
            &self.component,
            self.kind,
            &self.fingerprint,
            self.aside,
            &self.latest,
            &self.earliest,
            &limit,
        ];
        texts.map(|text| text.as_bytes().to_vec()).into_iter()
    }

    /// Continues after the cursor of a script that found `found` letters. Returns whether there may be more.
    pub(super) fn advance(&mut self, cursor: String, found: usize) -> bool {
        self.limit = self.limit.saturating_sub(found);
        self.after = cursor;
        self.limit > 0 && !self.after.is_empty()
    }
}
