//! A sampler that reads fake GPUs, and what it reports.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use campanile::Telemetry;
use campanile::sampler::{GpuSettings, Sampler, SamplerSettings};

/// The interval of the sampler.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

/// Settings of a sampler that reads only this driver library.
pub(crate) fn settings(library: &Path, change: impl FnOnce(&mut GpuSettings)) -> SamplerSettings {
    let mut gpu = GpuSettings::default();
    gpu.library = Some(library.to_owned());
    change(&mut gpu);
    let mut settings = SamplerSettings::default();
    settings.every = EVERY;
    #[cfg(feature = "system")]
    {
        settings.system = None;
    }
    settings.gpu = Some(gpu);
    settings
}

/// A pipeline, and a sampler that reads only one driver library.
pub(crate) struct Sampled {
    sampler: Option<Sampler>,
    telemetry: Telemetry,
    // All samplers of a process share their metrics, so tests run one at a time.
    _alone: MutexGuard<'static, ()>,
}

impl Sampled {
    pub(crate) fn new(library: &Path) -> Self {
        Self::with(library, |_| {})
    }

    pub(crate) fn with(library: &Path, change: impl FnOnce(&mut GpuSettings)) -> Self {
        let alone = alone();
        // The thread of an earlier test may still be in its last call.
        let ended = (0..3_000).any(|_| {
            std::thread::park_timeout(Duration::from_millis(10));
            threads() == 0
        });
        assert!(ended, "a thread of an earlier test is still running");
        log().lock().unwrap().clear();
        let settings = settings(library, change);
        let telemetry = Telemetry::builder("test").prometheus().build().unwrap();
        Self { sampler: Some(Sampler::from_settings(&settings).unwrap()), telemetry, _alone: alone }
    }

    pub(crate) fn stop(&mut self) {
        self.sampler = None;
    }

    /// The current metrics in Prometheus text.
    pub(crate) fn text(&self) -> String {
        self.telemetry.prometheus_text()
    }

    /// The value of the only series of `metric` with these labels, if there is one.
    pub(crate) fn value(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        value(&self.text(), metric, labels)
    }

    /// Waits until `wanted` returns a value.
    ///
    /// # Panics
    ///
    /// If it returns none in time.
    pub(crate) fn until<T>(&self, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        for _ in 0..3_000 {
            if let Some(found) = wanted(&self.text()) {
                return found;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("no {what} in\n{}\n{}", self.text(), logged());
    }

    pub(crate) fn until_value(&self, metric: &str, labels: &[(&str, &str)], wanted: f64) {
        let what = format!("{metric} {labels:?} of {wanted}");
        self.until(&what, |text| (value(text, metric, labels) == Some(wanted)).then_some(()));
    }

    /// Waits for `more` readings of the driver. Each reading calls `count` once.
    pub(crate) fn readings(&self, gpus: &crate::fake_gpus::FakeGpus, more: u64) {
        let wanted = gpus.calls("count") + more;
        self.until("reading", |_| (gpus.calls("count") >= wanted).then_some(()));
    }

    pub(crate) fn failures(&self) -> f64 {
        self.value("campanile_sampler_failures_total", &[("source", "gpu")]).unwrap_or_default()
    }
}

pub(crate) fn value(text: &str, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut lines = text.lines().filter(|line| {
        let Some((name, rest)) = line.split_once('{') else { return false };
        name == metric && labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")))
    });
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "more than one {metric} {labels:?}");
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// The number of driver threads in this process.
pub(crate) fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).filter(|name| name.trim() == "campanile-gpu").count()
}

/// Runs one test at a time, because tests count threads and read the log of the process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The log since the sampler started, at `INFO` and above.
pub(crate) fn logged() -> String {
    String::from_utf8(log().lock().unwrap().clone()).unwrap()
}

fn log() -> &'static Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&log);
        // The sampler logs on its own threads.
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || Lines(Arc::clone(&to)))
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
