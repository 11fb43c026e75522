//! Parts by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile::DeadLetterQueue;
use campanile::health::Every;
use campanile::hub::StartError;

use crate::program::{faults, started};

#[tokio::test]
async fn the_second_call_for_a_name_returns_the_part_that_is_there() {
    let campanile = started(&[]).await;
    let first = campanile.dependency("built twice").build().await.unwrap();
    let second = campanile.dependency("built twice").build().await.unwrap();
    first.call(|| async { Ok::<_, String>(()) }).await.unwrap();
    assert_eq!(second.timing().snapshot().calls, 1);
    first.breaker().unwrap().force_open();
    assert_eq!(second.breaker().unwrap().state(), campanile::CircuitState::ForcedOpen);

    let (one, other) =
        (campanile.worker("built twice").build().await, campanile.worker("built twice").build().await);
    let (one, other) = (one.unwrap(), other.unwrap());
    one.run("row".to_owned(), |_| async { Ok::<_, String>(()) }).await.unwrap();
    assert_eq!(other.snapshot().items.ingested, one.snapshot().items.ingested);
    assert_eq!(other.snapshot().items.ingested, 1);

    let server = campanile.server("built twice").build().unwrap();
    assert_eq!(campanile.server("built twice").build().unwrap().name(), server.name());
}

#[tokio::test]
async fn changed_settings_are_refused_where_a_part_is_built_already() {
    let campanile = started(&[]).await;
    campanile.dependency("changed").build().await.unwrap();
    campanile.worker("changed").build().await.unwrap();
    campanile.server("changed").build().unwrap();
    let queue = DeadLetterQueue::in_memory(1);
    let refused = [
        campanile.dependency("changed").settings(|_| {}).build().await.map(drop),
        campanile.dependency("changed").letters(&queue).build().await.map(drop),
        campanile.dependency("changed").restart_command(["true"]).build().await.map(drop),
        campanile.worker("changed").settings(|_| {}).build().await.map(drop),
        campanile.worker("changed").letters(&queue).build().await.map(drop),
        campanile.server("changed").settings(|_| {}).build().map(drop).map_err(StartError::from),
    ];
    for refused in refused {
        let Err(error @ StartError::Setting(_)) = refused else { panic!("{refused:?}") };
        let text = error.to_string();
        assert!(text.contains("`changed`") && text.contains("built first"), "{text}");
    }
}

#[tokio::test]
async fn names_that_no_section_could_have_are_refused() {
    let campanile = started(&["letters.everywhere=true"]).await;
    let long = "x".repeat(129);
    for name in ["", " ", "../letters", "a/b", "a\nb", "[x]", &long] {
        let refused = [
            campanile.dependency(name).build().await.map(drop),
            campanile.worker(name).build().await.map(drop),
            campanile.server(name).build().map(drop).map_err(StartError::from),
        ];
        for refused in refused {
            let Err(error @ StartError::Setting(_)) = refused else { panic!("{name:?}: {refused:?}") };
            assert!(error.to_string().contains("letters, digits"), "{error}");
        }
    }
    let kind = campanile.dependency("a/b").build().await.unwrap_err().to_string();
    assert!(kind.contains("dependency `a/b`"), "{kind}");
}

#[tokio::test]
async fn what_an_operator_wrote_wins_over_what_the_program_sets() {
    let campanile = started(&[
        "dependency.written.retry.max_attempts=7",
        "dependency.off.retry=false",
        "dependency.off.breaker=false",
        "dependency.off.letters=true",
        "worker.written.letters={component=\"operator\"}",
    ])
    .await;
    let two = |name: &'static str| {
        campanile.dependency(name).settings(|settings| {
            if let Some(retry) = &mut settings.retry {
                retry.max_attempts = 2;
            }
        })
    };
    assert_eq!(two("written").build().await.unwrap().retry().unwrap().settings().max_attempts, 7);
    assert_eq!(two("not written").build().await.unwrap().retry().unwrap().settings().max_attempts, 2);
    let off = campanile.dependency("off").build().await.unwrap();
    assert!(off.retry().is_none() && off.breaker().is_none());
    assert_eq!(off.letters().unwrap().name(), "off");
    let worker =
        campanile.worker("written").settings(|settings| settings.letters = None).build().await.unwrap();
    assert_eq!(worker.letters().component(), "operator");
}

#[tokio::test]
async fn letters_everywhere_have_files_by_the_names_of_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    let directory = format!("letters.directory={:?}", folder.path());
    let campanile = started(&["letters.everywhere=true", &directory]).await;
    campanile.dependency("in a file").build().await.unwrap();
    assert_eq!(faults(&campanile), []);
    assert!(folder.path().join("in a file.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_build_one_dependency_at_once_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!(
        "dependency.at-once.letters.store={{kind=\"sqlite\", path={:?}}}",
        folder.path().join("a.db")
    );
    let campanile = started(&[&store]).await;
    let refused = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (campanile, refused) = (campanile.clone(), Arc::clone(&refused));
            tokio::spawn(async move {
                let builder = campanile.dependency("at-once");
                // One of them says more than a name.
                let builder = if number == 50 { builder.settings(|_| {}) } else { builder };
                match builder.build().await {
                    Ok(built) => built.call(|| async { Ok::<_, String>(()) }).await.unwrap(),
                    Err(error) => {
                        assert!(error.to_string().contains("built already"), "{error}");
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let built = campanile.dependency("at-once").build().await.unwrap();
    let refused = refused.load(Ordering::SeqCst) as u64;
    assert!(refused <= 1, "{refused}");
    assert_eq!(built.timing().snapshot().calls + refused, 100);
    assert_eq!(faults(&campanile), []);
}

#[tokio::test]
async fn a_build_that_was_dropped_or_failed_can_be_repeated() {
    let campanile = started(&[]).await;
    drop(tokio_test::task::spawn(
        campanile.dependency("dropped").letters(&DeadLetterQueue::in_memory(1)).build(),
    ));
    let invalid = campanile.dependency("dropped").settings(|settings| {
        if let Some(retry) = &mut settings.retry {
            retry.max_attempts = 0;
        }
    });
    let error = invalid.build().await.unwrap_err().to_string();
    assert!(error.contains("max_attempts") && error.contains("dropped"), "{error}");
    assert!(campanile.dependency("dropped").build().await.is_ok());
}

#[tokio::test]
async fn reset_forgets_parts_and_their_counts() {
    let campanile = started(&[]).await;
    let forgotten = || {
        let check = || async { Ok::<_, String>(()) };
        campanile.dependency("forgotten").check(Every::seconds(3_600), check).restart_command(["true"])
    };
    let before = forgotten().build().await.unwrap();
    before.call(|| async { Ok::<_, String>(()) }).await.unwrap();
    campanile.reset();
    let after = forgotten().build().await.unwrap();
    assert_eq!(faults(&campanile), []);
    assert_eq!((before.timing().snapshot().calls, after.timing().snapshot().calls), (1, 0));
}
