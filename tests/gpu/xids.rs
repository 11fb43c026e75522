//! Errors that the driver reports as events.

use crate::fake_gpus::FakeGpus;
use crate::support::{Sampled, logged};

#[test]
fn xids_are_counted_logged_once_and_set_the_state() {
    let gpus = FakeGpus::new(2, "xids");
    let sampled = Sampled::new(gpus.path());
    let (id, other) = (("hw_id", "GPU-xids-0"), ("hw_id", "GPU-xids-1"));
    sampled.until_value("hw_status_ratio", &[id, ("hw_state", "ok")], 1.0);
    assert!(!sampled.text().contains("campanile_gpu_xid"), "there was no Xid");

    // An error of a program, three times.
    for _ in 0..3 {
        gpus.command("xid 0 31");
    }
    sampled.until_value("campanile_gpu_xid_total", &[id, ("xid", "31")], 3.0);
    sampled.until_value("hw_status_ratio", &[id, ("hw_state", "degraded")], 1.0);
    assert_eq!(logged().matches("xid=31").count(), 1, "{}", logged());

    // A memory failure of the device.
    gpus.command("xid 0 95");
    sampled.until_value("hw_status_ratio", &[id, ("hw_state", "failed")], 1.0);
    assert_eq!(sampled.value("hw_errors_total", &[id, ("error_type", "xid")]), Some(4.0));
    assert_eq!(sampled.value("hw_status_ratio", &[other, ("hw_state", "ok")]), Some(1.0));
    let log = logged();
    assert!(log.contains("the driver reported Xid 95") && log.contains("gpu/0"), "{log}");
    sampled.readings(&gpus, 5);
    assert_eq!(
        sampled.value("hw_status_ratio", &[id, ("hw_state", "failed")]),
        Some(1.0),
        "until it is reset"
    );
    assert_eq!(logged(), log, "an Xid is logged once");

    // A reset clears the counts of the device.
    gpus.command("set 0 energy 1000");
    sampled.until_value("hw_status_ratio", &[id, ("hw_state", "failed")], 0.0);
    assert_eq!(sampled.value("campanile_gpu_xid_total", &[id, ("xid", "95")]), Some(1.0));
    assert_eq!(sampled.failures(), 0.0);
}

#[test]
fn a_device_without_events_is_still_sampled() {
    let gpus = FakeGpus::new(1, "noevents");
    gpus.command("error 0 register 3");
    let sampled = Sampled::new(gpus.path());
    sampled.until_value("hw_status_ratio", &[("hw_id", "GPU-noevents-0"), ("hw_state", "ok")], 1.0);
    assert_eq!(gpus.calls("events"), 0);
}
