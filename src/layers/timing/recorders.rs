//! The histograms and gauges of HTTP and gRPC calls: one per combination of attributes, bounded.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::call::{Call, Key, Side, Target};
use crate::base::conventions::{METHODS, method_name, scheme_name};
use crate::base::outcome::Outcome;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{self, DurationRecorder, Emit, SampledSpan};

/// Maximum number of combinations of one side. All others share one, whose free attribute is `_OTHER`.
const CAPACITY: usize = signal::capacity::CALLS;

type Table = HashMap<Key<'static>, Arc<DurationRecorder>>;

/// The histograms, and the active requests.
#[derive(Default)]
pub(super) struct Recorders {
    /// A table for each side. A full table leaves room in the others.
    by_key: [ArcSwap<Table>; 4],
    /// The methods of gRPC servers that are not `_OTHER`: those that succeeded once, and declared ones. Any caller can
    /// make up a method, and an inner layer may refuse it with any status.
    methods: ArcSwap<HashSet<Box<str>>>,
    /// The active requests of servers, by method and scheme.
    served: [[Requests; 2]; METHODS.len() + 1],
    /// The active requests of clients, by target.
    sent: ArcSwap<HashMap<Target<'static>, Arc<Requests>>>,
}

impl Recorders {
    /// Counts the start of a request. Pass the result to [`Recorders::leave`].
    pub(super) fn enter(&self, call: &Call) -> Option<Arc<Requests>> {
        match call.side {
            Side::HttpServer => {
                let target = call.target();
                self.served(&target).enter();
                None
            }
            Side::HttpClient => {
                let requests = self.sent(call.target());
                requests.enter();
                Some(requests)
            }
            Side::RpcServer | Side::RpcClient => None,
        }
    }

    /// Counts the end of a request that [`Recorders::enter`] counted.
    pub(super) fn leave(&self, call: &Call, active: Option<&Requests>) {
        match active {
            Some(requests) => requests.leave(),
            None if call.side == Side::HttpServer => self.served(&call.target()).leave(),
            None => {}
        }
    }

    fn served(&self, target: &Target<'_>) -> &Requests {
        &self.served[usize::from(target.method)][usize::from(target.https)]
    }

    fn sent(&self, target: Target<'_>) -> Arc<Requests> {
        let sent = self.sent.load();
        let sent: &HashMap<Target<'_>, Arc<Requests>> = &sent;
        if let Some(requests) = sent.get(&target) {
            return Arc::clone(requests);
        }
        let target = if sent.len() < CAPACITY { target } else { target.other() };
        match sent.get(&target) {
            Some(requests) => Arc::clone(requests),
            None => self.add_sent(target.into_owned()),
        }
    }

    #[cold]
    fn add_sent(&self, target: Target<'static>) -> Arc<Requests> {
        let requests = Arc::<Requests>::default();
        let mut shared = Arc::clone(&requests);
        self.sent.rcu(|sent| {
            let mut sent = HashMap::clone(sent);
            // Another thread may have added it meanwhile.
            shared = Arc::clone(sent.entry(target.clone()).or_insert_with(|| Arc::clone(&requests)));
            sent
        });
        shared
    }

    /// Records the duration of a call. `span` is the span in which it was called, if its trace is sampled.
    pub(super) fn record(&self, call: &Call, outcome: Outcome, elapsed: Duration, span: Option<SampledSpan>) {
        let key = call.key(outcome);
        let by_key = self.table(&key).load();
        let by_key: &HashMap<Key<'_>, Arc<DurationRecorder>> = &by_key;
        if let Some(recorder) = by_key.get(&key) {
            return recorder.record_in(elapsed, span);
        }
        if by_key.len() < CAPACITY && self.is_known(&key) {
            return self.add(key.into_owned()).record_in(elapsed, span);
        }
        let key = key.other();
        match by_key.get(&key) {
            Some(recorder) => recorder.record_in(elapsed, span),
            None => self.add(key.into_owned()).record_in(elapsed, span),
        }
    }

    fn table(&self, key: &Key<'_>) -> &ArcSwap<Table> {
        &self.by_key[key.side as usize]
    }

    /// Whether the call may have its own combination: `false` for an unknown method of a gRPC server.
    fn is_known(&self, key: &Key<'_>) -> bool {
        let Some((method, succeeded)) = key.served_method() else { return true };
        let methods = self.methods.load();
        if methods.contains(method) {
            return true;
        }
        let learned = succeeded && methods.len() < CAPACITY;
        if learned {
            self.declare([method.into()]);
        }
        learned
    }

    /// Declares methods of a gRPC server, so that they are not `_OTHER`.
    #[cold]
    pub(super) fn declare(&self, names: impl IntoIterator<Item = Box<str>>) {
        let names: Vec<_> = names.into_iter().collect();
        self.methods.rcu(|methods| {
            let mut methods = HashSet::clone(methods);
            for name in &names {
                if methods.len() < CAPACITY {
                    methods.insert(name.clone());
                }
            }
            methods
        });
    }

    #[cold]
    fn add(&self, key: Key<'static>) -> Arc<DurationRecorder> {
        let recorder = Arc::new(key.recorder());
        self.table(&key).rcu(|by_key| {
            let mut by_key = HashMap::clone(by_key);
            by_key.entry(key.clone()).or_insert_with(|| Arc::clone(&recorder));
            by_key
        });
        // Another thread may have added it too. Both record to the same histogram.
        recorder
    }

    #[allow(clippy::cast_precision_loss)] // Requests in flight stay far below 2^52.
    pub(super) fn observe(&self, emit: &mut Emit<'_>) {
        for (place, by_scheme) in self.served.iter().enumerate() {
            for (https, requests) in [false, true].into_iter().zip(by_scheme) {
                if let Some(active) = requests.active() {
                    let attributes = [
                        ("http.request.method", method_name(place as u8)),
                        ("url.scheme", scheme_name(https)),
                    ];
                    emit(&signal::HTTP_SERVER_ACTIVE, active as f64, &attributes);
                }
            }
        }
        for (target, requests) in self.sent.load().iter() {
            let port = target.port.to_string();
            let attributes = [
                ("http.request.method", target.method()),
                ("url.scheme", target.scheme()),
                ("server.address", target.server.as_deref().unwrap_or_default()),
                ("server.port", &*port),
            ];
            // Requests without a server, or beyond the bound, have no port.
            let known =
                attributes.len() - usize::from(target.port == 0) - usize::from(target.server.is_none());
            if let Some(active) = requests.active() {
                emit(&signal::HTTP_CLIENT_ACTIVE, active as f64, &attributes[..known]);
            }
        }
    }
}

/// The number of requests that started and of those that ended.
#[derive(Debug, Default)]
pub(super) struct Requests {
    entered: AtomicU64,
    left: AtomicU64,
}

impl Requests {
    fn enter(&self) {
        self.entered.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of running requests; `None` before the first.
    fn active(&self) -> Option<u64> {
        let left = self.left.load(Ordering::Relaxed);
        let entered = self.entered.load(Ordering::Relaxed);
        (entered > 0).then(|| entered.saturating_sub(left))
    }
}

impl fmt::Debug for Recorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let combinations: usize = self.by_key.iter().map(|table| table.load().len()).sum();
        f.debug_struct("Recorders").field("combinations", &combinations).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::conventions::OTHER;
    use crate::base::outcome::{FailureKind, Settle};
    use crate::layers::timing::Timing;
    use crate::layers::timing::exchange::Exchange;
    use http::HeaderMap;
    use http::Request;

    fn call(side: Side, uri: &str) -> Call {
        Call::new(side, &Request::get(uri).body(()).unwrap().into_parts().0, None)
    }

    #[test]
    fn made_up_hosts_and_ports_share_one_combination() {
        let recorders = Recorders::default();
        let record = |n: usize| {
            let call = call(Side::HttpClient, &format!("http://host-{n}:{}/", 1_024 + n));
            recorders.record(&call, Outcome::Success, Duration::ZERO, None);
        };
        let table = &recorders.by_key[Side::HttpClient as usize];
        (0..CAPACITY).for_each(record);
        assert_eq!(table.load().len(), CAPACITY);
        record(CAPACITY);
        let full = table.load_full();
        assert_eq!(full.len(), CAPACITY + 1);
        (CAPACITY..2 * CAPACITY).for_each(record);
        assert!(Arc::ptr_eq(&full, &table.load_full()), "a call beyond the bound copied the table");
        let other = full.keys().find(|key| key.target.server.as_deref() == Some(OTHER));
        assert_eq!(other.map(|key| key.target.port), Some(0));
        recorders.record(&call(Side::RpcClient, "http://db/A/B"), Outcome::Success, Duration::ZERO, None);
        let other = recorders.by_key[Side::RpcClient as usize].load_full();
        assert!(
            other.keys().all(|key| key.target.server.as_deref() == Some("db")),
            "the full table leaves room in the others"
        );
    }

    /// A call of a gRPC server that ended with a code, or without one.
    fn served(recorders: &Recorders, path: &str, code: Option<&'static str>) {
        let mut call = call(Side::RpcServer, path);
        let status = code.map(|code| ("grpc-status".parse().unwrap(), http::HeaderValue::from_static(code)));
        call.trailers(&HeaderMap::from_iter(status));
        recorders.record(&call, Outcome::Success, Duration::ZERO, None);
    }

    /// The method names in the table, without duplicates.
    fn method_names(recorders: &Recorders) -> Vec<String> {
        let table = recorders.by_key[Side::RpcServer as usize].load_full();
        let mut methods: Vec<_> =
            table.keys().filter_map(|key| Some(key.served_method()?.0.to_owned())).collect();
        methods.sort();
        methods.dedup();
        methods
    }

    #[test]
    fn a_method_is_other_until_it_succeeded_or_was_declared() {
        let recorders = Recorders::default();
        // Refused by an inner layer: no permission, too many requests, unavailable, unknown, and without a gRPC status.
        for code in [Some("7"), Some("8"), Some("14"), Some("12"), Some("16"), Some("odd"), None] {
            for number in 0..2 * CAPACITY {
                served(&recorders, &format!("/made.Up/Method{number}"), code);
            }
        }
        assert_eq!(method_names(&recorders), [OTHER]);
        assert!(recorders.by_key[Side::RpcServer as usize].load().len() <= 7);
        served(&recorders, "/shop.Orders/Put", Some("14"));
        assert_eq!(method_names(&recorders), [OTHER], "the method may be made up");
        served(&recorders, "/shop.Orders/Put", Some("0"));
        served(&recorders, "/shop.Orders/Put", Some("14"));
        recorders.declare(["shop.Orders/Get".into()]);
        served(&recorders, "/shop.Orders/Get", Some("12"));
        assert_eq!(method_names(&recorders), [OTHER, "shop.Orders/Get", "shop.Orders/Put"]);

        (0..2 * CAPACITY).for_each(|number| served(&recorders, &format!("/any.Thing/Is{number}"), Some("0")));
        let table = recorders.by_key[Side::RpcServer as usize].load_full();
        assert!(recorders.methods.load().len() <= CAPACITY && table.len() <= CAPACITY + 1, "{}", table.len());
    }

    #[test]
    fn active_requests_of_a_client_are_counted_by_server_and_bounded() {
        let recorders = Recorders::default();
        let active = || {
            let mut seen = Vec::new();
            recorders.observe(&mut |metric, value, attributes| {
                assert_eq!(metric, &signal::HTTP_CLIENT_ACTIVE);
                let text = |(key, value): &(&str, &str)| format!("{key}={value}");
                seen.push((attributes.iter().map(text).collect::<Vec<_>>().join(" "), value));
            });
            seen.sort_by(|one, other| one.0.cmp(&other.0));
            seen
        };
        let get = "http.request.method=GET url.scheme=http";
        let db = call(Side::HttpClient, "http://db:8080/");
        let entered = [recorders.enter(&db), recorders.enter(&db)];
        assert_eq!(active(), [(format!("{get} server.address=db server.port=8080"), 2.0)]);
        entered.iter().for_each(|entered| recorders.leave(&db, entered.as_deref()));
        assert_eq!(active(), [(format!("{get} server.address=db server.port=8080"), 0.0)]);

        let nameless = call(Side::HttpClient, "/");
        let entered = recorders.enter(&nameless);
        assert_eq!(active()[0], (get.to_owned(), 1.0));
        recorders.leave(&nameless, entered.as_deref());

        for number in 0..2 * CAPACITY {
            recorders.enter(&call(Side::HttpClient, &format!("http://host-{number}/")));
        }
        assert_eq!(recorders.sent.load().len(), CAPACITY + 1);
        let other = format!("{get} server.address={OTHER}");
        let others = active().into_iter().find(|(attributes, _)| *attributes == other);
        assert_eq!(others.map(|(_, value)| value), Some((CAPACITY + 2) as f64), "no request is lost");
    }

    #[test]
    fn a_call_is_active_until_its_end_and_counts_by_its_trailers() {
        let timing = Timing::new("test");
        let active = || {
            let mut active = None;
            timing.meter.histograms.recorders.observe(&mut |_, value, _| active = Some(value));
            active
        };
        let mut exchange = Exchange::start(&timing.meter, call(Side::HttpServer, "/"), None);
        assert_eq!(active(), Some(1.0));
        exchange.settle(Outcome::Success);
        assert_eq!(active(), Some(0.0));

        let mut exchange = Exchange::start(&timing.meter, call(Side::RpcServer, "/pkg.Greeter/Hello"), None);
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("14"),
        )]);
        exchange.end(Some(&trailers));
        exchange.settle(Outcome::Failure(FailureKind::Error));
        let keys = timing.meter.histograms.recorders.by_key[Side::RpcServer as usize].load();
        let rpc: Vec<_> = keys.keys().collect();
        assert_eq!(rpc.len(), 1);
        assert_eq!(rpc[0].error_type().as_deref(), Some("UNAVAILABLE"));
    }
}
