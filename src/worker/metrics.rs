//! The metrics of a worker.

use super::inner::Inner;
use super::watch::Subject;
use crate::base::outcome::FailureKind;
use crate::signal::{
    Emit, Source, WORKER_ACTIVE, WORKER_ERRORS, WORKER_EVENTS, WORKER_ITEMS, WORKER_OPERATION_ITEMS,
    WORKER_TASK_ACTIVE,
};

impl Source for Inner {
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let worker = ("worker", &*self.name);
        self.observe_items(emit);
        for operation in self.operations.all().values() {
            let attributes = [worker, ("operation", &*operation.name)];
            emit(&WORKER_OPERATION_ITEMS, operation.items() as f64, &attributes);
        }
        for task in self.tasks.all().values() {
            emit(&WORKER_TASK_ACTIVE, task.tally().active() as f64, &[worker, ("task", &*task.name)]);
        }
        for (label, count) in self.errors.by_type() {
            emit(&WORKER_ERRORS, count as f64, &[worker, ("error.type", &*label)]);
        }
        for event in self.events.all() {
            let attributes = [
                ("component", &*event.component),
                ("event", &*event.event),
                ("severity", event.severity.as_str()),
                worker,
            ];
            emit(&WORKER_EVENTS, event.count() as f64, &attributes);
        }
    }
}

impl Inner {
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    fn observe_items(&self, emit: &mut Emit<'_>) {
        let worker = ("worker", &*self.name);
        let counts = self.items.counts();
        let mut count = |state, items: u64| emit(&WORKER_ITEMS, items as f64, &[worker, ("state", state)]);
        count("ingested", self.items.ingested());
        count("ok", counts.ok);
        count("converted", self.items.converted());
        count("cancelled", counts.cancelled());
        let failed = FailureKind::ALL.into_iter().filter(|kind| *kind != FailureKind::Cancelled);
        for kind in failed.filter(|kind| counts.of(*kind) > 0) {
            let attributes = [worker, ("state", "failed"), ("reason", kind.as_str())];
            emit(&WORKER_ITEMS, counts.of(kind) as f64, &attributes);
        }
        for (reason, items) in self.items.skipped() {
            emit(&WORKER_ITEMS, items as f64, &[worker, ("state", "skipped"), ("reason", &*reason)]);
        }
        emit(&WORKER_ACTIVE, counts.active as f64, &[worker]);
    }
}
