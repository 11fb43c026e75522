//! The flush and the shutdown of a pipeline.

use std::time::Duration;

use super::jobs::{Job, jobs, run_all};
use super::pipeline::{Inner, Telemetry};
use crate::base::sync::atomic::Ordering;
use crate::signal;

/// The limit of the shutdown when the last handle is dropped.
const LAST_DROP: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Exports everything that waits, and returns whether all of it was delivered within `limit`.
    ///
    /// It blocks the calling thread for up to `limit`. It needs no runtime.
    pub fn force_flush(&self, limit: Duration) -> bool {
        self.inner.force_flush(limit)
    }

    /// Exports everything that waits, ends the pipeline, and returns whether all was delivered within `limit`.
    ///
    /// It blocks the calling thread for up to `limit`, even if an exporter hangs. It needs no runtime. Spans that close
    /// afterwards are counted as dropped. A second call does nothing and returns `true`.
    pub fn shutdown(&self, limit: Duration) -> bool {
        self.inner.shut_down(limit)
    }
}

impl Inner {
    fn force_flush(&self, limit: Duration) -> bool {
        let batches = jobs(&self.batches, move |batch| batch.flush(limit));
        let logs = jobs(&self.logs.batches, move |batch| batch.flush(limit));
        let processors = jobs(&self.processors, |processor| processor.force_flush().is_ok());
        let pushes = jobs(&self.pushes, move |push| push.flush(limit));
        run_all(limit, batches.chain(logs).chain(processors).chain(pushes).collect())
    }

    fn shut_down(&self, limit: Duration) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return true;
        }
        if let Some(generation) = self.published.get() {
            signal::withdraw(*generation);
        }
        // Kept until the last export, so that it has current values of the machine.
        #[cfg(any(feature = "system", feature = "gpu"))]
        let _sampler = self.sampler.lock().take();
        #[cfg(feature = "otlp")]
        if let Some(background) = &self.background {
            background.close();
        }
        let batches = jobs(&self.batches, move |batch| batch.shut_down(limit));
        let logs = jobs(&self.logs.batches, move |batch| batch.shut_down(limit));
        let (tracers, loggers) = (self.tracer_provider.clone(), self.logger_provider.clone());
        let (pushes, meters) = (self.pushes.clone(), self.meter_provider.clone());
        let providers: [Job; 3] = [
            Box::new(move || loggers.shutdown_with_timeout(limit).is_ok()),
            Box::new(move || tracers.shutdown_with_timeout(limit).is_ok()),
            Box::new(move || {
                // In parallel, and before the provider shuts their readers down.
                let pushed = run_all(limit, jobs(&pushes, move |push| push.shut_down(limit)).collect());
                meters.shutdown_with_timeout(limit).is_ok() && pushed
            }),
        ];
        run_all(limit, batches.chain(logs).chain(providers).collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down(LAST_DROP);
    }
}
