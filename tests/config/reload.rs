//! Settings that change while the process runs.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::Folder;

#[test]
fn a_reload_says_what_changed_and_what_needs_a_restart() {
    let folder = Folder::toml(
        "[health]\nletters = 5\n[dependency.a.breaker]\nfailure_rate = 0.5\n[dependency.b]\n[dependency.c.retry]\nmax_attempts = 2",
    );
    let config = folder.loader().load().expect("valid");
    assert!(config.reload().expect("valid").is_empty());
    folder.write(
        "[health]\nletters = 6\n[dependency.a.breaker]\nfailure_rate = 0.4\nslow_call = { limit = \"1s\", rate = 0.5 }\n\
         [dependency.b]\nbreaker = false\n[dependency.c.retry]\nmax_attempts = 3\n[dependency.d]\n",
    );
    let changes = config.reload().expect("valid");
    let path = folder.path().display().to_string();
    let said: Vec<_> = changes.iter().map(|change| change.to_string().replace(&path, "file")).collect();
    assert_eq!(
        said,
        [
            "`dependency.a.breaker.failure_rate` changed from 0.5 to 0.4 (file:4); it is taken over",
            "`dependency.a.breaker.slow_call` changed from not set to a table (file:5); it is taken over",
            "`dependency.b.breaker` changed from a table to false (file:7); it needs a restart",
            "`dependency.c.retry.max_attempts` changed from 2 to 3 (file:9); it is taken over",
            "`dependency.d` changed from not set to a table (file:10); it needs a restart",
            "`health.letters` changed from 5 to 6 (file:2); it is taken over",
        ]
    );
    assert_eq!(changes.restarts().count(), 2);
    assert!(config.reload().expect("valid").is_empty());
    assert_eq!(config.changes_since_start().iter().count(), 6, "what needs a restart is not forgotten");
}

#[test]
fn p68_an_invalid_file_leaves_the_old_settings_in_force() {
    let folder = Folder::toml("[health]\nletters = 5");
    let config = folder.loader().load().expect("valid");
    let before = config.settings();
    for text in ["[health]\nletters = 0", "[health", "nothing = 1", "\u{0}"] {
        folder.write(text);
        config.reload().expect_err("invalid");
        assert_eq!(config.settings(), before, "{text:?}");
    }
    std::fs::remove_file(folder.path()).expect("the file is gone");
    config.reload().expect_err("no file");
    assert_eq!(config.settings(), before);
}

#[test]
fn a_changed_secret_is_a_change_and_is_not_shown() {
    let folder = Folder::toml("");
    let secret = folder.path().with_file_name("key");
    std::fs::write(&secret, "0123456789abcdef-one\n").expect("written");
    folder.write(format!("[telemetry.redaction]\nkey = {{ file = '{}' }}", secret.display()));
    let config = folder.loader().load().expect("valid");
    std::fs::write(&secret, "0123456789abcdef-two\n").expect("written");
    let changes = config.reload().expect("valid");
    let said: Vec<_> = changes.iter().map(|change| (change.setting.as_str(), change.to.as_str())).collect();
    assert_eq!(said, [("telemetry.redaction.key", "another secret")]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, rng_seed: RngSeed::Fixed(19), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_files_the_last_valid_one_is_in_force(
        files in prop::collection::vec(
            prop_oneof![
                (1..4_u64, 1..4_u32).prop_map(|(letters, attempts)| {
                    format!("[health]\nletters = {letters}\n[dependency.a.retry]\nmax_attempts = {attempts}")
                }),
                "[a-z\\[\\]=\"\n{}.#0-9]{0,40}",
                Just("[health]\nletters = 0".to_owned()),
            ],
            1..8,
        ),
    ) {
        let folder = Folder::toml("");
        let config = folder.loader().load().expect("valid");
        let mut last = config.settings();
        for text in files {
            folder.write(&text);
            match (folder.loader().load(), config.reload()) {
                (Ok(fresh), Ok(changes)) => {
                    prop_assert_eq!(changes.is_empty(), fresh.settings() == last);
                    last = fresh.settings();
                }
                (Err(fresh), Err(errors)) => prop_assert_eq!(fresh, errors),
                (fresh, reloaded) => prop_assert!(false, "{:?} {:?} {}", fresh, reloaded, text),
            }
            prop_assert_eq!(config.settings(), last.clone());
        }
    }
}

#[test]
fn readers_see_one_file_or_the_other() {
    let text = |number: u64| format!("[health]\nletters = {number}\nminimum_calls = {number}");
    let folder = Folder::toml(&text(1));
    let config = folder.loader().load().expect("valid");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let health = config.settings().health.clone();
                    assert_eq!(health.letters, health.minimum_calls);
                }
            });
        }
        for number in 1..50 {
            folder.write(text(number));
            config.reload().expect("valid");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(config.settings().health.letters, 49);
}
