//! Splits a message that is too large for a collector.
//!
//! The messages of the three signals have one shape: resources hold scopes, and scopes hold items. Items stay encoded. Only
//! an item that is too large alone is decoded: a metric is split by its points, a span loses attributes, events and links.

use std::mem;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::{DecodeError, Message};

use crate::telemetry::counters::Signal;

/// `Export…ServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceItems>,
}

/// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
#[derive(Clone, PartialEq, Message)]
struct ResourceItems {
    #[prost(bytes = "bytes", optional, tag = "1")]
    resource: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeItems>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
#[derive(Clone, PartialEq, Message)]
struct ScopeItems {
    #[prost(bytes = "bytes", optional, tag = "1")]
    scope: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// `Metric`.
#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(message, optional, tag = "5")]
    gauge: Option<Points>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Points>,
    #[prost(message, optional, tag = "9")]
    histogram: Option<Points>,
    #[prost(message, optional, tag = "10")]
    exponential_histogram: Option<Points>,
    #[prost(message, optional, tag = "11")]
    summary: Option<Points>,
    #[prost(bytes = "bytes", repeated, tag = "12")]
    metadata: Vec<Bytes>,
}

/// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary`.
#[derive(Clone, PartialEq, Message)]
struct Points {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    points: Vec<Bytes>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

/// One of the messages that a message is split into.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) body: Bytes,
    /// The number of spans, log records or metrics in it.
    pub(super) items: usize,
}

/// The result of [`split`].
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    /// The number of spans, log records or points of metrics that are too large alone. They are in no part.
    pub(super) too_large: usize,
}

/// Maximum length of the tag and the length prefix of a field.
const FIELD_HEADER: usize = 6;

/// Splits `body` into messages of at most `limit` bytes each. The order of the items stays.
pub(super) fn split(body: &Bytes, limit: usize, signal: Signal) -> Result<Parts, DecodeError> {
    // The decoded fields share this `Bytes`; nothing is copied.
    let message = Export::decode(body.clone())?;
    let mut splitter = Splitter { limit, ..Splitter::default() };
    for mut resource in message.resources {
        let scopes = mem::take(&mut resource.scopes);
        splitter.position = Position::Outside;
        for mut scope in scopes {
            let items = mem::take(&mut scope.items);
            splitter.position = splitter.position.min(Position::InResource);
            let envelope = Envelope {
                bytes: resource.encoded_len() + scope.encoded_len() + 2 * FIELD_HEADER,
                resource: &resource,
                scope,
            };
            let room = limit.saturating_sub(envelope.bytes);
            for item in items {
                if item.len() + FIELD_HEADER <= room {
                    splitter.add(&envelope, item);
                    continue;
                }
                let smaller = match signal {
                    Signal::Traces => truncate_span(item, room),
                    Signal::Metrics => {
                        let (metrics, too_large) = split_metric(item, room)?;
                        splitter.done.too_large += too_large;
                        metrics.into_iter().for_each(|metric| splitter.add(&envelope, metric));
                        continue;
                    }
                    Signal::Logs => None,
                };
                match smaller {
                    Some(item) => splitter.add(&envelope, item),
                    None => splitter.done.too_large += 1,
                }
            }
        }
    }
    splitter.finish();
    Ok(splitter.done)
}

/// The resource and the scope of items.
struct Envelope<'a> {
    resource: &'a ResourceItems,
    scope: ScopeItems,
    bytes: usize,
}

/// Where in the message the next item is added: whether its resource and its scope are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    #[default]
    Outside,
    InResource,
    InScope,
}

/// The part that is being filled, and those that are full.
#[derive(Default)]
struct Splitter {
    limit: usize,
    done: Parts,
    position: Position,
    message: Export,
    /// Upper bound of the encoded length of `message`.
    bytes: usize,
    items: usize,
}

impl Splitter {
    fn add(&mut self, envelope: &Envelope<'_>, item: Bytes) {
        let bytes = |position| {
            item.len() + FIELD_HEADER + if position < Position::InScope { envelope.bytes } else { 0 }
        };
        if self.items > 0 && self.bytes + bytes(self.position) > self.limit {
            self.finish();
        }
        self.bytes += bytes(self.position);
        self.items += 1;
        if self.position < Position::InResource {
            self.message.resources.push(envelope.resource.clone());
        }
        let Some(resource) = self.message.resources.last_mut() else { return };
        if self.position < Position::InScope {
            resource.scopes.push(envelope.scope.clone());
        }
        if let Some(scope) = resource.scopes.last_mut() {
            scope.items.push(item);
        }
        self.position = Position::InScope;
    }

    fn finish(&mut self) {
        let message = mem::take(&mut self.message);
        if self.items > 0 {
            self.done.parts.push(Part { body: message.encode_to_vec().into(), items: self.items });
        }
        (self.bytes, self.items, self.position) = (0, 0, Position::Outside);
    }
}

/// `span` without its last events, links and attributes, which are counted as dropped. `None` if it is still too large.
fn truncate_span(span: Bytes, room: usize) -> Option<Bytes> {
    let mut surplus = (span.len() + FIELD_HEADER).saturating_sub(room);
    // The three counts of dropped parts take bytes too.
    surplus += 3 * FIELD_HEADER;
    let mut span = Span::decode(span).ok()?;
    drop_last(&mut span.events, &mut span.dropped_events_count, &mut surplus);
    drop_last(&mut span.links, &mut span.dropped_links_count, &mut surplus);
    drop_last(&mut span.attributes, &mut span.dropped_attributes_count, &mut surplus);
    (surplus == 0).then(|| span.encode_to_vec().into())
}

fn drop_last<T: Message>(of: &mut Vec<T>, dropped: &mut u32, surplus: &mut usize) {
    while *surplus > 0
        && let Some(last) = of.pop()
    {
        *dropped = dropped.saturating_add(1);
        *surplus = surplus.saturating_sub(last.encoded_len() + 2);
    }
}

/// Splits a metric into several of the same name with some of its points each. Also returns how many points are too large
/// alone.
fn split_metric(metric: Bytes, room: usize) -> Result<(Vec<Bytes>, usize), DecodeError> {
    let mut template = Metric::decode(metric)?;
    let points = template.points().map(|data| mem::take(&mut data.points)).unwrap_or_default();
    let room = room.saturating_sub(template.encoded_len() + 3 * FIELD_HEADER);
    let (mut parts, mut too_large) = (Vec::new(), 0);
    let (mut some, mut bytes) = (Vec::new(), 0);
    let mut finish = |points: &mut Vec<Bytes>| {
        let mut part = template.clone();
        if let Some(data) = part.points().filter(|_| !points.is_empty()) {
            data.points = mem::take(points);
            parts.push(part.encode_to_vec().into());
        }
    };
    for point in points {
        let more = point.len() + FIELD_HEADER;
        if more > room {
            too_large += 1;
            continue;
        }
        if bytes + more > room {
            finish(&mut some);
            bytes = 0;
        }
        bytes += more;
        some.push(point);
    }
    finish(&mut some);
    Ok((parts, too_large))
}

impl Metric {
    fn points(&mut self) -> Option<&mut Points> {
        let Self { gauge, sum, histogram, exponential_histogram, summary, .. } = self;
        [gauge, sum, histogram, exponential_histogram, summary].into_iter().find_map(Option::as_mut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), length).prop_map(Bytes::from)
    }

    fn scope() -> impl Strategy<Value = ScopeItems> {
        let items = proptest::collection::vec(bytes(0..400), 0..12);
        (proptest::option::of(bytes(1..40)), items, "[a-z]{0,8}")
            .prop_map(|(scope, items, schema_url)| ScopeItems { scope, items, schema_url })
    }

    fn message() -> impl Strategy<Value = Export> {
        let scopes = proptest::collection::vec(scope(), 0..4);
        let resource = (proptest::option::of(bytes(1..60)), scopes, "[a-z]{0,8}")
            .prop_map(|(resource, scopes, schema_url)| ResourceItems { resource, scopes, schema_url });
        proptest::collection::vec(resource, 0..4).prop_map(|resources| Export { resources })
    }

    /// Each item with its resource and scope.
    fn items(message: &Export) -> Vec<(ResourceItems, ScopeItems, Bytes)> {
        let mut all = Vec::new();
        for resource in &message.resources {
            for scope in &resource.scopes {
                let bare = (
                    ResourceItems { scopes: Vec::new(), ..resource.clone() },
                    ScopeItems { items: Vec::new(), ..scope.clone() },
                );
                all.extend(scope.items.iter().map(|item| (bare.0.clone(), bare.1.clone(), item.clone())));
            }
        }
        all
    }

    proptest! {
        /// The parts of any message are within the limit, and hold each of its items once, in order.
        #[test]
        fn parts_are_within_the_limit_and_hold_every_item(message in message(), limit in 300_usize..3_000) {
            let body = Bytes::from(message.encode_to_vec());
            let Parts { parts, too_large } = split(&body, limit, Signal::Logs).unwrap();
            let mut found = Vec::new();
            for part in &parts {
                prop_assert!(part.body.len() <= limit);
                let items = items(&Export::decode(part.body.clone()).unwrap());
                prop_assert_eq!(items.len(), part.items);
                found.extend(items);
            }
            let mut expected = items(&message);
            let all = expected.len();
            expected.retain(|item| found.contains(item));
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(found.len() + too_large, all);
            // Every item that fits into a message alone is in a part.
            let fits = |(resource, scope, item): &(ResourceItems, ScopeItems, Bytes)| {
                resource.encoded_len() + scope.encoded_len() + item.len() + 3 * FIELD_HEADER <= limit
            };
            prop_assert_eq!(items(&message).iter().filter(|item| fits(item)).count(), found.len());
            // Two neighbours do not fit into one message.
            for two in parts.windows(2) {
                prop_assert!(two[0].body.len() + two[1].body.len() > limit / 2);
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(body in bytes(0..300), limit in 1_usize..200) {
            for signal in Signal::ALL {
                let _ = split(&body, limit, signal);
            }
        }
    }
}
