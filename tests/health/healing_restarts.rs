//! Limits per hour over restarts of the process.

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

/// A process with a healing whose condition always holds.
fn process(file: &Path, began: &Arc<Mutex<Vec<Instant>>>) -> (Health, HealingHandle) {
    let health = Health::standalone();
    health.register(Component::new("restarted")).unwrap();
    health.limit_healing(limits(file)).unwrap();
    let handle = health.heal(healing("restart", began)).unwrap();
    (health, handle)
}

#[tokio::test(start_paused = true)]
async fn the_limit_per_hour_holds_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let start = Instant::now();
    // The process restarts every 100 seconds.
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
async fn a_limit_that_an_earlier_process_used_up_escalates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let first = process(&file, &began);
    sleep(Duration::from_secs(30)).await;
    drop(first);
    let health = Health::standalone();
    health.register(Component::new("restarted")).unwrap();
    let (escalated, escalations) = mpsc::channel();
    let escalating = healing("restart", &began).escalate(move |record| {
        escalated.send((record.number, record.outcome.clone())).unwrap();
        async {}
    });
    // The order of `heal` and `limit_healing` does not matter.
    let handle = health.heal(escalating).unwrap();
    health.limit_healing(limits(&file)).unwrap();
    assert_eq!(handle.run_now().await, Err(Withheld::HourlyLimit));
    sleep(Duration::from_secs(30)).await;
    assert_eq!((began.lock().unwrap().len(), handle.status().withheld), (1, Some(Withheld::HourlyLimit)));
    let escalations: Vec<_> = escalations.try_iter().collect();
    assert!(matches!(&*escalations, [(0, HealingOutcome::Failed(_))]), "{escalations:?}");
    // Another healing has its own limit, and all share one.
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
async fn a_start_in_the_future_counts_for_one_hour() {
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
async fn a_foreign_file_is_refused_and_an_unwritable_one_stops_no_healing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healings.json");
    let health = Health::standalone();
    for text in ["", "[", "{}", r#"[{"at":1}]"#, "\0\0\0\0"] {
        std::fs::write(&file, text).unwrap();
        let error = health.limit_healing(limits(&file)).unwrap_err();
        assert_eq!(error.setting(), "healing.remember_in", "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the file is not changed");
    }
    let error = health.limit_healing(limits(&folder.path().join("absent/healings.json"))).unwrap_err();
    assert_eq!(error.setting(), "healing.remember_in");

    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let (_health, handle) = process(&inner.join("healings.json"), &began);
    std::fs::remove_dir_all(&inner).unwrap();
    handle.pause();
    assert!(handle.run_now().await.is_ok(), "the action may be what frees the disk");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_link_or_a_file_beside_it_is_replaced_and_a_pipe_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (file, beside) = (folder.path().join("healings.json"), folder.path().join("healings.json.new"));
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    // A link to another file, and a file that other users may read.
    for link in [true, false] {
        if link {
            symlink(&precious, &beside).unwrap();
        } else {
            std::fs::write(&beside, "").unwrap();
            std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o666)).unwrap();
        }
        let (_health, handle) = process(&file, &began);
        handle.pause();
        let _ = handle.run_now().await;
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        let written = std::fs::symlink_metadata(&file).unwrap();
        assert!(written.is_file() && written.permissions().mode() & 0o777 == 0o600);
        assert!(!beside.exists());
    }
    // Opening a pipe would wait for a writer.
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let error = Health::standalone().limit_healing(limits(&file)).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

/// The path of a full disk, in the process that the test below starts.
const FULL: &str = "CAMPANILE_TEST_FULL_DISK";

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn on_a_full_disk_a_process_starts_and_heals() {
    let name = "healing_restarts::on_a_full_disk_a_process_starts_and_heals";
    let Some(disk) = std::env::var_os(FULL) else {
        let folder = tempfile::tempdir().unwrap();
        let mount = r#"mount -t tmpfs -o size=4k none "$DISK" || exit 77; exec "$0" "$@""#;
        let child = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", &mount.replace("$DISK", &format!("${FULL}"))])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FULL, folder.path())
            .output();
        match child {
            Ok(child) if child.status.success() => {}
            Ok(child) if child.status.code() == Some(101) => {
                panic!("{}", String::from_utf8_lossy(&child.stderr))
            }
            _ => eprintln!("NOT RUN: {name} needs a mount namespace, which this machine does not give it"),
        }
        return;
    };
    let disk = Path::new(&disk);
    // Fills the disk to the last byte.
    std::fs::write(disk.join("full"), vec![0; 4_096]).unwrap();
    let began = Arc::<Mutex<Vec<Instant>>>::default();
    let (_health, handle) = process(&disk.join("healings.json"), &began);
    handle.pause();
    assert!(handle.run_now().await.is_ok(), "the action may be what frees the disk");
}
