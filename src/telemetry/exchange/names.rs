//! The names of the spans of a layer, and their series of metrics.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::Span;

use crate::base::conventions::{METHODS, OTHER, method_name};
use crate::base::sync::Mutex;
use crate::telemetry::core::Core;
use crate::telemetry::handed_over::handing_over;
use crate::telemetry::red::SeriesId;

/// The name of a span.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    series: SeriesId,
}

/// The names of the spans of a layer. Each is made once, so that a request allocates none.
pub(super) struct Names {
    pub(super) core: Arc<Core>,
    pub(super) component: Box<str>,
    known: ArcSwap<Known>,
    change: Mutex<()>,
}

/// By the index of the method, then by the route.
type Known = [HashMap<Box<str>, Arc<Name>>; METHODS.len() + 1];

/// The maximum number of names that are kept. Others are made for each request.
const CAPACITY: usize = 1_000;

/// The maximum length of a route that is kept, in bytes.
const LONGEST: usize = 1_024;

impl Names {
    pub(super) fn new(core: &Arc<Core>, component: &str) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            component: component.into(),
            known: ArcSwap::default(),
            change: Mutex::new(()),
        })
    }

    /// Calls `then` with the name of requests with the method at `method` and a route, which may be empty.
    #[inline]
    pub(super) fn http<T>(&self, method: u8, route: &str, then: impl FnOnce(&Arc<Name>) -> T) -> T {
        self.find(
            method,
            route,
            || match (method_name(method), route) {
                (OTHER, "") => "HTTP".into(),
                (OTHER, route) => format!("HTTP {route}").into(),
                (method, "") => method.into(),
                (method, route) => format!("{method} {route}").into(),
            },
            then,
        )
    }

    /// Calls `then` with the name of calls of a gRPC method.
    #[cfg(feature = "grpc")]
    pub(super) fn grpc<T>(&self, method: &str, then: impl FnOnce(&Arc<Name>) -> T) -> T {
        self.find(0, method, || method.into(), then)
    }

    /// Calls `then` with the name of calls of a gRPC method that may not exist.
    #[cfg(feature = "grpc")]
    pub(super) fn unproven<T>(&self, then: impl FnOnce(&Arc<Name>) -> T) -> T {
        self.find(METHODS.len() as u8, "", || "grpc".into(), then)
    }

    /// Whether the gRPC method has a name.
    #[cfg(feature = "grpc")]
    pub(super) fn knows(&self, method: &str) -> bool {
        self.known.load()[0].contains_key(method)
    }

    /// Keeps the name of a gRPC method. Returns whether there is room for it.
    #[cfg(feature = "grpc")]
    pub(super) fn learn(&self, method: &str) -> bool {
        self.grpc(method, |_| ());
        self.knows(method)
    }

    #[inline]
    fn find<T>(
        &self,
        method: u8,
        route: &str,
        text: impl FnOnce() -> Box<str>,
        then: impl FnOnce(&Arc<Name>) -> T,
    ) -> T {
        let known = self.known.load();
        match known[usize::from(method)].get(route) {
            Some(name) => then(name),
            None => then(&self.add(method, route, text())),
        }
    }

    #[cold]
    fn add(&self, method: u8, route: &str, text: Box<str>) -> Arc<Name> {
        let series = self.core.red.named(&self.component, &text);
        let name = Arc::new(Name { text, series });
        let _one_at_a_time = self.change.lock();
        let known = self.known.load();
        if route.len() <= LONGEST && known.iter().map(HashMap::len).sum::<usize>() < CAPACITY {
            let mut more = Known::clone(&known);
            more[usize::from(method)].insert(route.into(), Arc::clone(&name));
            self.known.store(Arc::new(more));
        }
        name
    }

    /// Makes a span with this name.
    #[inline]
    pub(super) fn make(&self, name: &Name, make: impl FnOnce() -> Span) -> Span {
        handing_over(self.core.red.id(), name.series, make)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("component", &self.component).finish_non_exhaustive()
    }
}
