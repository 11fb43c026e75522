//! What a healing remembers of the process before this one.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::Health;
use campanile::health::{
    Action, Component, Healing, HealingHandle, HealingLimits, HealingOutcome, When, Withheld,
};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3_600);

fn limits(file: &Path) -> HealingLimits {
    let mut limits = HealingLimits::default();
    limits.remember_in = Some(file.to_owned());
    limits
}

fn healing(name: &str, began: &Arc<Mutex<Vec<Instant>>>) -> Healing {
    let begins = Arc::clone(began);
    let act = Action::new(move || {
        begins.lock().unwrap().push(Instant::now());
        async {}
    });
    let always = When::custom(|_| true);
    Healing::new(name, "restarted").when(always).action(act).verify(false).at_most_per_hour(1)
}

/// A process that heals what is always ill.
fn process(file: &Path, began: &Arc<Mutex<Vec<Instant>>>) -> (Health, HealingHandle) {
    let health = Health::standalone();
    health.register(Component::new("restarted")).unwrap();
    health.limit_healing(limits(file)).unwrap();
    let handle = health.heal(healing("restart", began)).unwrap();
    (health, handle)
}

#[tokio::test(start_paused = true)]
async fn at_most_once_an_hour_is_that_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let start = Instant::now();
    // It restarts every 100 seconds.
    while start.elapsed() < 4 * HOUR {
        let (health, handle) = process(&file, &began);
        sleep(Duration::from_secs(100)).await;
        let status = handle.status();
        assert!(status.begun_in_the_last_hour <= 1 && status.may_begin_in <= HOUR, "{status:?}");
        drop((health, handle));
    }
    let began = began.lock().unwrap();
    assert!((4..=5).contains(&began.len()), "{began:?}");
    assert!(began.windows(2).all(|two| two[1] - two[0] >= HOUR), "{began:?}");
    assert!(std::fs::metadata(&file).unwrap().len() < 500);
}

#[tokio::test(start_paused = true)]
async fn somebody_is_told_of_what_the_process_before_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let first = process(&file, &began);
    sleep(Duration::from_secs(30)).await;
    drop(first);
    let health = Health::standalone();
    health.register(Component::new("restarted")).unwrap();
    let (told, telling) = mpsc::channel();
    let escalating = healing("restart", &began).escalate(move |record| {
        told.send((record.number, record.outcome.clone())).unwrap();
        async {}
    });
    // Set up before the limits are known: that is the same.
    let handle = health.heal(escalating).unwrap();
    health.limit_healing(limits(&file)).unwrap();
    assert_eq!(handle.run_now().await, Err(Withheld::HourlyLimit));
    sleep(Duration::from_secs(30)).await;
    assert_eq!((began.lock().unwrap().len(), handle.status().withheld), (1, Some(Withheld::HourlyLimit)));
    let told: Vec<_> = telling.try_iter().collect();
    assert!(matches!(&*told, [(0, HealingOutcome::Failed(_))]), "{told:?}");
    // Another healing has an hour of its own, and all have one together.
    let other = health.heal(healing("other", &began)).unwrap();
    other.pause();
    assert!(other.run_now().await.is_ok());
    let mut few = limits(&file);
    few.per_hour = 2;
    drop((health, handle, other));
    let health = Health::standalone();
    health.limit_healing(few).unwrap();
    let third = health.heal(healing("third", &began)).unwrap();
    third.pause();
    assert_eq!(third.run_now().await, Err(Withheld::HourlyLimitOfAll));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_holds_it_for_an_hour_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    // In the year 2100.
    let ahead = r#"[{"at":4102444800000000,"component":"restarted","healing":"restart"}]"#;
    std::fs::write(&file, ahead).unwrap();
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    for _ in 0..3 {
        let process = process(&file, &began);
        sleep(HOUR / 3 - Duration::from_secs(20)).await;
        assert!(began.lock().unwrap().is_empty());
        drop(process);
    }
    let _process = process(&file, &began);
    sleep(Duration::from_secs(80)).await;
    assert_eq!(began.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_ours_is_refused_and_one_that_cannot_be_written_stops_no_healing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let health = Health::standalone();
    for text in ["", "[", "{}", r#"[{"at":1}]"#, "\0\0\0\0"] {
        std::fs::write(&file, text).unwrap();
        let error = health.limit_healing(limits(&file)).unwrap_err();
        assert_eq!(error.setting(), "healing.remember_in", "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "it is left as it is");
    }
    let error = health.limit_healing(limits(&folder.path().join("absent/healings.json"))).unwrap_err();
    assert_eq!(error.setting(), "healing.remember_in");

    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let (_health, handle) = process(&inner.join("healings.json"), &began);
    std::fs::remove_dir_all(&inner).unwrap();
    handle.pause();
    assert!(handle.run_now().await.is_ok(), "what heals may be what makes room");
}
