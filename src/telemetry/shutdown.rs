//! Flushes a pipeline, and ends it.

use std::time::Duration;

use super::jobs::{Job, jobs, run_all};
use super::pipeline::{Inner, Telemetry};
use crate::base::sync::atomic::Ordering;
use crate::signal;

/// How long the drop of the last handle may take.
const LAST_DROP: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Sends what waits, within `limit`; whether all of it was delivered.
    ///
    /// It blocks the thread for up to `limit`, never the work of the pipeline.
    pub fn force_flush(&self, limit: Duration) -> bool {
        self.inner.force_flush(limit)
    }

    /// Sends what waits and ends the pipeline, within `limit` whatever hangs; whether all of it was delivered.
    ///
    /// It blocks the thread for up to `limit`, never the work of the pipeline: any runtime will do, and none.
    /// Spans that close afterwards are counted as dropped. A second call does nothing.
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
        // Until the end: the last export tells what the machine was like then.
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
                // Side by side, and before the readers are taken from them.
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
