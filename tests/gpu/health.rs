//! The health of GPUs.

use campanile::Telemetry;
use campanile::health::{ComponentHealth, ReasonKind, Status};

use crate::fake_gpus::FakeGpus;
use crate::support::{alone, settings};

/// Waits until `name` has this status.
fn once(telemetry: &Telemetry, name: &str, status: Status) -> ComponentHealth {
    let health = telemetry.health();
    for _ in 0..3_000 {
        let snapshot = health.snapshot();
        if let Some(found) = snapshot.component(name).filter(|found| found.status == status) {
            return found.clone();
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    panic!("{name} is not {status}: {:?}", health.snapshot())
}

/// A pipeline that samples only these GPUs.
fn pipeline(gpus: &FakeGpus) -> Telemetry {
    let settings = settings(gpus.path(), |_| {});
    Telemetry::builder("test").variables(|_| None).prometheus().sampler(settings).build().unwrap()
}

#[test]
fn p50_the_health_of_a_gpu_depends_on_its_limits_and_state() {
    let _alone = alone();
    let gpus = FakeGpus::new(3, "health");
    // The GPU slows down at 90 degrees. The warning is 10 degrees below.
    gpus.command("set 0 temperature 84");
    gpus.command("set 1 temperature 91");
    let telemetry = pipeline(&gpus);

    let warm = once(&telemetry, "gpu/0", Status::Degraded);
    assert_eq!((warm.reasons[0].kind, warm.reasons[0].limit), (ReasonKind::Temperature, 80.0));
    let hot = once(&telemetry, "gpu/1", Status::Unhealthy);
    assert_eq!((hot.reasons[0].kind, hot.reasons[0].limit), (ReasonKind::Temperature, 90.0));
    assert_eq!(hot.reasons[0].figure, 91.0);
    let well = once(&telemetry, "gpu/2", Status::Healthy);
    assert!(well.reasons.is_empty(), "{well:?}");

    gpus.command("error 2 all 15");
    let lost = once(&telemetry, "gpu/2", Status::Unhealthy);
    assert_eq!(lost.reasons[0].kind, ReasonKind::DeviceState);
    gpus.command("error 2 all 0");
    once(&telemetry, "gpu/2", Status::Healthy);
}

#[test]
fn p41_a_card_keeps_its_name_in_metrics_labels_and_health_when_another_is_lost() {
    let _alone = alone();
    let gpus = FakeGpus::new(3, "moved");
    let telemetry = pipeline(&gpus);
    for name in ["gpu/0", "gpu/1", "gpu/2"] {
        once(&telemetry, name, Status::Healthy);
    }
    let temperature = |name: &str, id: &str| {
        let labels = [("hw_name", name), ("hw_id", id), ("hw_sensor_location", "gpu")];
        crate::support::value(&telemetry.prometheus_text(), "hw_temperature_celsius", &labels)
    };
    let until = |what: &str, wanted: &dyn Fn() -> bool| {
        let came = (0..3_000).any(|_| {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
            wanted()
        });
        assert!(came, "{what}: {}", telemetry.prometheus_text());
    };
    // The first card is lost. The last one has index 1 now, and is too hot.
    gpus.command("lost 0");
    gpus.command("set 1 temperature 91");
    until("moved", &|| temperature("gpu/2", "GPU-moved-2") == Some(91.0));
    assert_eq!(temperature("gpu/1", "GPU-moved-1"), Some(61.0));
    let hot = once(&telemetry, "gpu/2", Status::Unhealthy);
    assert_eq!(hot.reasons[0].kind, ReasonKind::Temperature);
    once(&telemetry, "gpu/1", Status::Healthy);
    until("gone", &|| !telemetry.prometheus_text().contains("GPU-moved-0"));
    // The same card stops answering.
    gpus.command("error 1 all 15");
    let lost = once(&telemetry, "gpu/2", Status::Unhealthy);
    until("state", &|| {
        let labels = [("hw_name", "gpu/2"), ("hw_id", "GPU-moved-2"), ("hw_state", "failed")];
        crate::support::value(&telemetry.prometheus_text(), "hw_status_ratio", &labels) == Some(1.0)
    });
    assert_eq!(&*lost.name, "gpu/2");
    once(&telemetry, "gpu/1", Status::Healthy);
    let snapshot = campanile::sampler::GpuSnapshot::with_library(gpus.path());
    let names: Vec<_> = snapshot.devices.iter().map(|device| (&*device.name, &*device.id)).collect();
    assert_eq!(names, [("gpu/1", "GPU-moved-1"), ("gpu/2", "GPU-moved-2")]);
}
