//! The calls of a store that read. Each takes as many scripts as it needs, so that no script blocks Redis for long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::client::Client;
use super::scripts::{self, texts};
use super::search::Search;
use super::{keys, rows};
use crate::base::moment::from_micros;
use crate::store::clock::Reading;
use crate::store::group::{self, by_frequency, by_size};
use crate::store::{Entry, Fingerprint, Frequency, Group, LetterFilter, LetterId, PurgeRecord, StoreError};

/// The maximum number of letters that one script returns or looks up.
const LETTERS: usize = 100;

/// The maximum number of groups in one script.
const GROUPS: usize = 500;

/// The maximum number of minutes in one script.
const MINUTES: usize = 240;

/// The number of letters of each fingerprint, its first and its last failure.
type Seen = BTreeMap<Fingerprint, (u64, SystemTime, SystemTime)>;

fn read_seen(
    rows: &[String],
    reading: Reading,
) -> impl Iterator<Item = (Fingerprint, (u64, SystemTime, SystemTime))> {
    rows.chunks_exact(2).filter_map(move |row| {
        let mut numbers = row[1].split('|').map_while(|number| number.parse().ok());
        let moment = |micros| reading.to_wall(from_micros(micros));
        let (letters, first, last) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((row[0].parse().ok()?, (letters, moment(first), moment(last))))
    })
}

impl Client {
    /// Letters by their ids (`by` is `ids`), or the newest letter of each fingerprint (`newest`). Letters that are
    /// gone are left out.
    pub(super) async fn fetch(
        &self,
        queue: &Arc<str>,
        by: &str,
        mut wanted: Vec<String>,
    ) -> Result<Vec<Entry>, StoreError> {
        let reading = self.reading().await?;
        let mut entries = Vec::new();
        while !wanted.is_empty() {
            let chunk = wanted.iter().take(LETTERS).map(|key| key.as_bytes().to_vec());
            let args = std::iter::once(by.as_bytes().to_vec()).chain(chunk).collect();
            let (asked, letters): (usize, Vec<Vec<u8>>) =
                self.run(&scripts::FETCH, queue, Vec::new(), args).await?;
            entries.extend(rows::entries(queue, letters, reading));
            wanted.drain(..asked.clamp(1, wanted.len()));
        }
        Ok(entries)
    }

    pub(super) async fn list_entries(
        &self,
        queue: &str,
        filter: &LetterFilter,
    ) -> Result<Vec<Entry>, StoreError> {
        let reading = self.reading().await?;
        let (queue, mut search): (Arc<str>, _) = (queue.into(), Search::new(filter, reading.now()));
        let mut entries = Vec::new();
        let mut more = search.limit > 0;
        while more {
            let (cursor, rows): (String, Vec<Vec<u8>>) = self.walk(&queue, "letters", &search).await?;
            let page = rows::entries(&queue, rows, reading);
            more = search.advance(cursor, page.len());
            entries.extend(page);
        }
        Ok(entries)
    }

    pub(super) async fn count_entries(&self, queue: &str, filter: &LetterFilter) -> Result<u64, StoreError> {
        let mut search = Search::new(filter, self.reading().await?.now());
        if search.exact {
            let (_, all): (String, u64) = self.walk(queue, "range", &search).await?;
            return Ok(all.min(search.limit as u64));
        }
        let mut count = 0;
        let mut more = search.limit > 0;
        while more {
            let (cursor, found): (String, usize) = self.walk(queue, "count", &search).await?;
            more = search.advance(cursor, found);
            count += found as u64;
        }
        Ok(count)
    }

    async fn walk<T: redis::FromRedisValue>(
        &self,
        queue: &str,
        what: &str,
        search: &Search,
    ) -> Result<T, StoreError> {
        let args = texts([what]).into_iter().chain(search.args()).collect();
        self.run(&scripts::WALK, queue, Vec::new(), args).await
    }

    pub(super) async fn list_groups(
        &self,
        queue: &str,
        filter: &LetterFilter,
    ) -> Result<Vec<Group>, StoreError> {
        let (queue, reading): (Arc<str>, _) = (queue.into(), self.reading().await?);
        let all = LetterFilter { limit: None, ..filter.clone() };
        let limit = filter.limit.unwrap_or(usize::MAX);
        if all == LetterFilter::all() {
            let seen = self.largest(&queue, limit, reading).await?;
            let fingerprints = seen.keys().map(Fingerprint::to_string).collect();
            let examples = self.fetch(&queue, "newest", fingerprints).await?;
            let groups = examples.into_iter().filter_map(|example| {
                let (letters, first_seen, last_seen) = *seen.get(&example.fingerprint)?;
                Some(Group { fingerprint: example.fingerprint, letters, first_seen, last_seen, example })
            });
            return Ok(by_size(groups.collect(), filter.limit));
        }
        // The metadata of letters is small. Heads and bodies are fetched for the examples only.
        let mut search = Search::new(&all, reading.now());
        let mut entries = Vec::new();
        loop {
            let (cursor, rows): (String, Vec<Vec<u8>>) = self.walk(&queue, "metas", &search).await?;
            for row in rows.chunks_exact(2) {
                entries.extend(rows::read_meta(&queue, &row[0], &row[1], reading));
            }
            if !search.advance(cursor, 0) {
                break;
            }
        }
        let groups = by_size(group::of_entries(entries), filter.limit);
        let mut seen = Seen::new();
        for chunk in groups.chunks(LETTERS) {
            let fingerprints = chunk.iter().map(|group| group.fingerprint.to_string().into_bytes()).collect();
            let (rows,): (Vec<String>,) = self.run(&scripts::SEEN, &queue, Vec::new(), fingerprints).await?;
            seen.extend(read_seen(&rows, reading));
        }
        let examples = groups.iter().map(|group| group.example.id.to_string()).collect();
        let mut examples: BTreeMap<LetterId, Entry> =
            self.fetch(&queue, "ids", examples).await?.into_iter().map(|entry| (entry.id, entry)).collect();
        Ok(groups
            .into_iter()
            .filter_map(|group| {
                let example = examples.remove(&group.example.id)?;
                let (first_seen, last_seen) = match seen.get(&group.fingerprint) {
                    Some((_, first, last)) => (*first, *last),
                    None => (group.first_seen, group.last_seen),
                };
                Some(Group { first_seen, last_seen, example, ..group })
            })
            .collect())
    }

    /// The largest groups, at most `limit`.
    async fn largest(&self, queue: &str, limit: usize, reading: Reading) -> Result<Seen, StoreError> {
        let mut seen = Seen::new();
        let mut from = 0;
        while from < limit {
            let to = from.saturating_add(GROUPS).min(limit);
            let places = texts([&from.to_string(), &(to - 1).to_string()]);
            let (rows,): (Vec<String>,) = self.run(&scripts::GROUPS, queue, Vec::new(), places).await?;
            seen.extend(read_seen(&rows, reading));
            if rows.len() / 2 < to - from {
                break;
            }
            from = to;
        }
        Ok(seen)
    }

    pub(super) async fn count_failures(
        &self,
        queue: &str,
        last: Duration,
    ) -> Result<Vec<Frequency>, StoreError> {
        let now = self.reading().await?.now();
        let minutes: Vec<String> =
            keys::minutes(now, last).map(|minute| keys::failures(queue, minute)).collect();
        let mut all: BTreeMap<Fingerprint, Frequency> = BTreeMap::new();
        for chunk in minutes.chunks(MINUTES) {
            let (rows,): (Vec<String>,) =
                self.run(&scripts::FREQUENCIES, queue, chunk.to_vec(), Vec::new()).await?;
            for row in rows.chunks_exact(2) {
                let (Some((fingerprint, kind, component)), Ok(failures)) =
                    (rows::failure(&row[0]), row[1].parse::<u64>())
                else {
                    continue;
                };
                let frequency =
                    all.entry(fingerprint).or_insert(Frequency { fingerprint, component, kind, failures: 0 });
                frequency.failures += failures;
            }
        }
        Ok(by_frequency(all.into_values().collect()))
    }

    pub(super) async fn list_purges(&self, queue: &str) -> Result<Vec<PurgeRecord>, StoreError> {
        let (lines,): (Vec<String>,) = self.run(&scripts::PURGES, queue, Vec::new(), Vec::new()).await?;
        let read = |line: &String| {
            let mut parts = line.splitn(3, '|');
            let (purged, record) = (parts.next()?.parse().ok()?, parts.nth(1)?);
            let record: PurgeRecord = serde_json::from_str(record).ok()?;
            Some(PurgeRecord { purged, ..record })
        };
        Ok(lines.iter().filter_map(read).collect())
    }
}
