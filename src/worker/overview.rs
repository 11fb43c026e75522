//! Takes the snapshot of a worker.

use std::collections::BTreeMap;

use super::handle::Worker;
use super::item_counts::ItemCounts;
use super::operation::Operation;
use super::snapshot::{
    ErrorsSnapshot, EventSnapshot, ItemsSnapshot, LoopSnapshot, OperationSnapshot, TaskSnapshot,
    WorkerSnapshot,
};
use super::tally::Counts;
use super::task_state::{TaskState, TaskStatus};
use super::watch::Subject;
use crate::base::outcome::FailureKind;
use crate::dead_letter::QueueSnapshot;

impl Worker {
    /// Takes a snapshot of all counts, tasks, loops and recent errors. It can be serialized, and its keys stay the same.
    #[must_use]
    pub fn snapshot(&self) -> WorkerSnapshot {
        let inner = &self.inner;
        let by_type = inner.errors.by_type();
        let loops = inner.loops.all();
        WorkerSnapshot {
            name: inner.name.clone(),
            items: items(&inner.items, &inner.letters.snapshot()),
            operations: inner.operations.all().values().map(|operation| of_operation(operation)).collect(),
            tasks: inner.tasks.all().values().map(|task| of_task(task)).collect(),
            loops: loops
                .iter()
                .map(|control| LoopSnapshot {
                    name: control.name.clone(),
                    running: control.is_running(),
                    stopping: control.is_stopping(),
                })
                .collect(),
            errors: ErrorsSnapshot { total: by_type.values().sum(), by_type, recent: inner.errors.recent() },
            events: inner
                .events
                .all()
                .iter()
                .map(|event| EventSnapshot {
                    component: event.component.clone(),
                    event: event.event.clone(),
                    severity: event.severity,
                    count: event.count(),
                })
                .collect(),
        }
    }
}

fn items(items: &ItemCounts, letters: &QueueSnapshot) -> ItemsSnapshot {
    let counts = items.counts();
    let skipped_by = items.skipped();
    ItemsSnapshot {
        ingested: items.ingested(),
        active: counts.active,
        ok: counts.ok,
        failed: counts.failed(),
        failed_by: failures(&counts, |kind| kind != FailureKind::Cancelled),
        cancelled: counts.cancelled(),
        converted: items.converted(),
        skipped: skipped_by.values().sum(),
        skipped_by,
        parked: letters.parked,
        dropped: letters.dropped_total(),
        durations: items.durations().into(),
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of items stay far below 2^52.
fn of_operation(operation: &Operation) -> OperationSnapshot {
    let counts = operation.tally().counts();
    let (summary, sum) = operation.tally().durations();
    let (items, seconds) = (operation.items(), sum.as_secs_f64());
    OperationSnapshot {
        name: operation.name.clone(),
        calls: summary.count,
        active: counts.active,
        failed: counts.failures.iter().sum(),
        failed_by: failures(&counts, |_| true),
        items,
        items_per_second: if seconds > 0.0 { items as f64 / seconds } else { 0.0 },
        durations: summary.into(),
        memory: operation.memory(),
    }
}

fn of_task(task: &TaskState) -> TaskSnapshot {
    let counts = task.tally().counts();
    let (summary, _) = task.tally().durations();
    let last = task.last();
    TaskSnapshot {
        name: task.name.clone(),
        status: if counts.active > 0 { TaskStatus::Running } else { last.status },
        runs: summary.count,
        active: counts.active,
        failed: counts.failures.iter().sum(),
        failed_by: failures(&counts, |_| true),
        last_started: last.started,
        last_ended: last.ended,
        last_took: last.took,
        durations: summary.into(),
    }
}

/// The failures by kind, without kinds that did not happen.
fn failures(counts: &Counts, wanted: impl Fn(FailureKind) -> bool) -> BTreeMap<FailureKind, u64> {
    let kinds = FailureKind::ALL.into_iter().filter(|kind| wanted(*kind));
    kinds.map(|kind| (kind, counts.of(kind))).filter(|(_, count)| *count > 0).collect()
}
