//! Runs the steps of a shutdown, each within its limit, and reports them.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::report::{ShutdownReport, ShutdownStep, StepReport, StepResult};
use crate::base::panics::caught;

/// The steps that have run, and the time that is left for others.
pub(super) struct Steps {
    began: Instant,
    /// When all steps must have ended.
    end: Instant,
    reports: Vec<StepReport>,
}

impl Steps {
    pub(super) fn begin(total: Duration) -> Self {
        let began = Instant::now();
        Self { began, end: began + total, reports: Vec::new() }
    }

    /// Runs `work` for at most `limit`, and for at most the time that is left. Its error is what it left undone, and `left` says
    /// so if it does not end in time.
    pub(super) async fn run(
        &mut self,
        step: ShutdownStep,
        limit: Duration,
        work: impl Future<Output = Result<(), String>>,
        left: impl FnOnce() -> Option<String>,
    ) {
        let limit = limit.min(self.end.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        let ended = timeout(limit, caught(work)).await;
        let took = began.elapsed();
        let (result, left) = match ended {
            Ok(Ok(Ok(()))) => (StepResult::Completed, None),
            Ok(Ok(Err(left))) if took >= limit => (StepResult::TimedOut, Some(left)),
            Ok(Ok(Err(left))) => (StepResult::Failed, Some(left)),
            Ok(Err(panic)) => {
                let message = panic.message().unwrap_or("without a message").to_owned();
                (StepResult::Failed, Some(format!("it panicked: {message}")))
            }
            Err(_) => (StepResult::TimedOut, left()),
        };
        self.add(StepReport { step, result, took, left });
    }

    /// Adds a step that ran elsewhere, and logs it.
    pub(super) fn add(&mut self, report: StepReport) {
        let (step, took, result) = (report.step.as_str(), report.took, report.result.as_str());
        match &report.left {
            None if report.result == StepResult::Completed => {
                tracing::info!(step, ?took, result, "a step of the shutdown completed");
            }
            left => {
                let left = left.as_deref().unwrap_or("unknown");
                tracing::warn!(step, ?took, result, left, "a step of the shutdown left work undone");
            }
        }
        self.reports.push(report);
    }

    /// The limit of a step, or the time that is left if that is less.
    pub(super) fn limit(&self, limit: Duration) -> Duration {
        limit.min(self.end.saturating_duration_since(Instant::now()))
    }

    pub(super) fn into_report(self) -> ShutdownReport {
        ShutdownReport { steps: self.reports, took: self.began.elapsed() }
    }
}
