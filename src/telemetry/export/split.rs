//! A message too large for a collector, as several that are not.
//!
//! The messages of the three signals have one shape: resources, in them scopes, in them items. Here items stay as they
//! were encoded. Only a metric that is too large alone is opened, and its points go out in several.

use std::mem;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::{DecodeError, Message};

use crate::telemetry::counters::Signal;

/// `Export…ServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

/// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", optional, tag = "1")]
    resource: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
#[derive(Clone, PartialEq, Message)]
struct OfScope {
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

/// A part of a message.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) body: Bytes,
    /// Spans, log records or metrics in it.
    pub(super) items: usize,
}

/// A message in parts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    /// Spans, log records or points of metrics that are too large alone.
    pub(super) too_large: usize,
}

/// The tag and the length of a field, at most.
const FRAME: usize = 6;

/// The items of `body` in messages of at most `limit` bytes each, in their order.
pub(super) fn split(body: &Bytes, limit: usize, signal: Signal) -> Result<Parts, DecodeError> {
    // A `Bytes` is shared by what is decoded from it, and not copied.
    let message = Export::decode(body.clone())?;
    let mut filling = Filling { limit, ..Filling::default() };
    for mut resource in message.resources {
        let scopes = mem::take(&mut resource.scopes);
        filling.place = Place::Outside;
        for mut scope in scopes {
            let items = mem::take(&mut scope.items);
            filling.place = filling.place.min(Place::InResource);
            let around = Around {
                bytes: resource.encoded_len() + scope.encoded_len() + 2 * FRAME,
                resource: &resource,
                scope,
            };
            let room = limit.saturating_sub(around.bytes);
            for item in items {
                if item.len() + FRAME <= room {
                    filling.add(&around, item);
                    continue;
                }
                let smaller = match signal {
                    Signal::Traces => shrink(item, room),
                    Signal::Metrics => {
                        let (metrics, too_large) = by_points(item, room)?;
                        filling.done.too_large += too_large;
                        metrics.into_iter().for_each(|metric| filling.add(&around, metric));
                        continue;
                    }
                    Signal::Logs => None,
                };
                match smaller {
                    Some(item) => filling.add(&around, item),
                    None => filling.done.too_large += 1,
                }
            }
        }
    }
    filling.finish();
    Ok(filling.done)
}

/// What stands around items.
struct Around<'a> {
    resource: &'a OfResource,
    scope: OfScope,
    bytes: usize,
}

/// Where in a message the next item comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    #[default]
    Outside,
    InResource,
    InScope,
}

/// A part that is being filled, and those that are full.
#[derive(Default)]
struct Filling {
    limit: usize,
    done: Parts,
    place: Place,
    message: Export,
    /// Of `message`, at most.
    bytes: usize,
    items: usize,
}

impl Filling {
    fn add(&mut self, around: &Around<'_>, item: Bytes) {
        let bytes = |place| item.len() + FRAME + if place < Place::InScope { around.bytes } else { 0 };
        if self.items > 0 && self.bytes + bytes(self.place) > self.limit {
            self.finish();
        }
        self.bytes += bytes(self.place);
        self.items += 1;
        if self.place < Place::InResource {
            self.message.resources.push(around.resource.clone());
        }
        let Some(resource) = self.message.resources.last_mut() else { return };
        if self.place < Place::InScope {
            resource.scopes.push(around.scope.clone());
        }
        if let Some(scope) = resource.scopes.last_mut() {
            scope.items.push(item);
        }
        self.place = Place::InScope;
    }

    fn finish(&mut self) {
        let message = mem::take(&mut self.message);
        if self.items > 0 {
            self.done.parts.push(Part { body: message.encode_to_vec().into(), items: self.items });
        }
        (self.bytes, self.items, self.place) = (0, 0, Place::Outside);
    }
}

/// A span without its last events, links and attributes, which it counts as dropped; none if it is too large without any.
fn shrink(span: Bytes, room: usize) -> Option<Bytes> {
    let mut surplus = (span.len() + FRAME).saturating_sub(room);
    // What it counts as dropped takes bytes too.
    surplus += 3 * FRAME;
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

/// A metric as several of the same name with some of its points each, and how many points are too large alone.
fn by_points(metric: Bytes, room: usize) -> Result<(Vec<Bytes>, usize), DecodeError> {
    let mut shell = Metric::decode(metric)?;
    let points = shell.points().map(|data| mem::take(&mut data.points)).unwrap_or_default();
    let room = room.saturating_sub(shell.encoded_len() + 3 * FRAME);
    let (mut parts, mut too_large) = (Vec::new(), 0);
    let (mut some, mut bytes) = (Vec::new(), 0);
    let mut finish = |points: &mut Vec<Bytes>| {
        let mut part = shell.clone();
        if let Some(data) = part.points().filter(|_| !points.is_empty()) {
            data.points = mem::take(points);
            parts.push(part.encode_to_vec().into());
        }
    };
    for point in points {
        let more = point.len() + FRAME;
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

    fn scope() -> impl Strategy<Value = OfScope> {
        let items = proptest::collection::vec(bytes(0..400), 0..12);
        (proptest::option::of(bytes(1..40)), items, "[a-z]{0,8}")
            .prop_map(|(scope, items, schema_url)| OfScope { scope, items, schema_url })
    }

    fn message() -> impl Strategy<Value = Export> {
        let scopes = proptest::collection::vec(scope(), 0..4);
        let resource = (proptest::option::of(bytes(1..60)), scopes, "[a-z]{0,8}")
            .prop_map(|(resource, scopes, schema_url)| OfResource { resource, scopes, schema_url });
        proptest::collection::vec(resource, 0..4).prop_map(|resources| Export { resources })
    }

    /// Each item with what stands around it.
    fn items(message: &Export) -> Vec<(OfResource, OfScope, Bytes)> {
        let mut all = Vec::new();
        for resource in &message.resources {
            for scope in &resource.scopes {
                let bare = (
                    OfResource { scopes: Vec::new(), ..resource.clone() },
                    OfScope { items: Vec::new(), ..scope.clone() },
                );
                all.extend(scope.items.iter().map(|item| (bare.0.clone(), bare.1.clone(), item.clone())));
            }
        }
        all
    }

    proptest! {
        /// Whatever is in a message, its parts are as small as they must be and hold all of it once, in its order.
        #[test]
        fn the_parts_are_small_and_together_the_whole(message in message(), limit in 300_usize..3_000) {
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
            // What fits alone is not left out.
            let fits = |(resource, scope, item): &(OfResource, OfScope, Bytes)| {
                resource.encoded_len() + scope.encoded_len() + item.len() + 3 * FRAME <= limit
            };
            prop_assert_eq!(items(&message).iter().filter(|item| fits(item)).count(), found.len());
            // Two neighbours would not fit into one message.
            for two in parts.windows(2) {
                prop_assert!(two[0].body.len() + two[1].body.len() > limit / 2);
            }
        }

        #[test]
        fn what_is_no_message_is_an_error_or_something(body in bytes(0..300), limit in 1_usize..200) {
            for signal in Signal::ALL {
                let _ = split(&body, limit, signal);
            }
        }
    }
}
