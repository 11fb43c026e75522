//! What the runs of one check measured beside their results, for metrics.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::pool_state::PoolState;
use crate::base::sync::Mutex;
use crate::signal::{
    CHECK_RESPONSES, DB_CONNECTIONS, DB_CONNECTIONS_MAX, DB_DURATION, DB_PENDING, DurationRecorder, Emit,
};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Measured(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Responses by status: at most as many as there are statuses of three digits.
    responses: BTreeMap<u16, u64>,
    /// The pool at the last run.
    pool: Option<PoolState>,
    /// By the `error.type`, empty for a query that succeeded.
    queries: BTreeMap<&'static str, Arc<DurationRecorder>>,
}

impl Measured {
    /// Counts a response with this status.
    #[cfg(feature = "http")]
    pub(super) fn response(&self, status: u16) {
        *self.0.lock().responses.entry(status).or_default() += 1;
    }

    /// Stores the state of the pool.
    pub(super) fn pool(&self, state: PoolState) {
        self.0.lock().pool = Some(state);
    }

    /// Records the duration of a query on the database `system`. `error` is empty if it succeeded.
    pub(super) fn query(&self, system: &'static str, error: &'static str, took: Duration) {
        let recorder = {
            let mut state = self.0.lock();
            let recorder = state.queries.entry(error).or_insert_with(|| {
                let attributes = [("db.system.name", system), ("error.type", error)];
                let attributes = attributes.map(|(key, value)| (key, Cow::Borrowed(value)));
                Arc::new(DurationRecorder::new(&DB_DURATION, attributes))
            });
            Arc::clone(recorder)
        };
        recorder.record(took);
    }

    /// Emits all of it. The name of the pool is that of the check.
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    pub(super) fn observe(&self, component: &str, check: &str, emit: &mut Emit<'_>) {
        let (responses, pool) = {
            let state = self.0.lock();
            (state.responses.clone(), state.pool)
        };
        for (status, responses) in responses {
            let status = status.to_string();
            let attributes =
                [("component", component), ("check", check), ("http.response.status_code", &*status)];
            emit(&CHECK_RESPONSES, responses as f64, &attributes);
        }
        let Some(pool) = pool else { return };
        let name = ("db.client.connection.pool.name", check);
        for (state, connections) in [("idle", pool.idle), ("used", pool.in_use())] {
            emit(&DB_CONNECTIONS, connections as f64, &[name, ("db.client.connection.state", state)]);
        }
        emit(&DB_CONNECTIONS_MAX, pool.max as f64, &[name]);
        if let Some(waiting) = pool.waiting {
            emit(&DB_PENDING, waiting as f64, &[name]);
        }
    }
}
