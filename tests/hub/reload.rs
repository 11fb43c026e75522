//! New settings while the program runs.

use std::path::Path;

use campanile::Campanile;

use crate::alone::{Child, is_alone, say};
use crate::program::program;

async fn started(file: &Path) -> Campanile {
    program(&[]).config_file(file).start().await.unwrap()
}

#[tokio::test]
async fn a_reload_takes_over_breakers_retries_and_health() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("campanile.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(
        "[health]\nunwell_components = 3\n[dependency.reloaded]\nretry = { max_attempts = 2 }\n\
         breaker = { failure_rate = 0.5 }\n[dependency.removed]\nretry = { max_attempts = 2 }",
    );
    let campanile = started(&file).await;
    let reloaded = campanile.dependency("reloaded").build().await.unwrap();
    let removed = campanile.dependency("removed").build().await.unwrap();
    let added = campanile.dependency("added").build().await.unwrap();
    let in_use = || {
        (
            reloaded.retry().unwrap().settings().max_attempts,
            reloaded.breaker().unwrap().settings().failure_rate,
        )
    };
    assert_eq!(in_use(), (2, 0.5));

    write(
        "[health]\nunwell_components = 1\n[dependency.reloaded]\ncritical = true\nretry = { max_attempts = 5 }\n\
         breaker = { failure_rate = 0.2 }\n[dependency.added]\nretry = { max_attempts = 9 }",
    );
    let changes = campanile.reload().unwrap();
    assert_eq!(in_use(), (5, 0.2));
    let live: Vec<_> = changes.iter().filter(|change| change.live).map(|change| &*change.setting).collect();
    assert_eq!(
        live,
        [
            "dependency.reloaded.breaker.failure_rate",
            "dependency.reloaded.retry.max_attempts",
            "health.unwell_components"
        ]
    );
    let restarts: Vec<_> = changes.restarts().map(|change| &*change.setting).collect();
    assert_eq!(restarts, ["dependency.added", "dependency.reloaded.critical", "dependency.removed"]);
    // What is said to need a restart is not taken over in part.
    assert_eq!(removed.retry().unwrap().settings().max_attempts, 2);
    assert_ne!(added.retry().unwrap().settings().max_attempts, 9);

    write("[dependency.reloaded]\nretry = { max_attempts = 0 }");
    let error = campanile.reload().unwrap_err().to_string();
    assert!(
        error.contains("dependency.reloaded.retry.max_attempts") && error.contains("campanile.toml"),
        "{error}"
    );
    assert_eq!(in_use(), (5, 0.2));
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_at_the_same_time_end_with_the_settings_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("campanile.toml");
    let write = |attempts: u32| {
        let text = format!("[dependency.raced]\nretry = {{ max_attempts = {attempts} }}");
        // A reload must not see half a file.
        let new = file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    write(1);
    let campanile = started(&file).await;
    let raced = campanile.dependency("raced").build().await.unwrap();
    for attempts in 2..20 {
        write(attempts);
        let reloads: Vec<_> = (0..4)
            .map(|_| {
                let campanile = campanile.clone();
                tokio::task::spawn_blocking(move || campanile.reload().map(drop))
            })
            .collect();
        for reload in reloads {
            reload.await.unwrap().unwrap();
        }
        assert_eq!(raced.retry().unwrap().settings().max_attempts, attempts);
    }
}

const FILE: &str = "CAMPANILE_TEST_FILE";

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_an_invalid_file_leaves_the_settings() {
    let test = "reload::sighup_reloads_and_an_invalid_file_leaves_the_settings";
    if is_alone(test) {
        let file = std::env::var(FILE).unwrap();
        let program = Campanile::builder("shop").config_file(file).arguments(["sampler=false"]);
        let campanile = program.start().await.unwrap();
        let payments = campanile.dependency("payments").build().await.unwrap();
        let retry = payments.retry().unwrap();
        let mut told = 0;
        loop {
            let now = retry.settings().max_attempts;
            if now != told {
                say(&format!("attempts {now}"));
                told = now;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("campanile.toml");
    let write = |attempts: u32| {
        std::fs::write(&file, format!("[dependency.payments]\nretry = {{ max_attempts = {attempts} }}"))
            .unwrap();
    };
    write(2);
    let mut child = Child::start(test, &[(FILE, file.to_str().unwrap())]);
    assert_eq!(child.wait_for("@ attempts "), "2");
    write(4);
    child.signal("HUP");
    assert_eq!(child.wait_for("@ attempts "), "4");
    write(0);
    child.signal("HUP");
    child.wait_for("configuration is invalid; the settings in force stay");
    write(6);
    child.signal("HUP");
    assert_eq!(child.wait_for("@ attempts "), "6", "the invalid file changed nothing");
}
