//! Healing by commands: real programs, on the real clock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campanile::health::{Action, Healing, HealingHandle, HealingOutcome, HealingRecord, Health};

fn heal(command: &[&str], timeout: Duration) -> HealingHandle {
    let healing = Healing::new("command", "commanded").action(Action::command(command)).verify(false);
    Health::standalone().heal(healing.timeout(timeout)).unwrap()
}

async fn run(command: &[&str]) -> Arc<HealingRecord> {
    heal(command, Duration::from_secs(60)).run_now().await.unwrap()
}

/// The process ids that a program wrote, one a line.
fn ids(output: &str) -> Vec<u32> {
    output.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether the process has ended; it may not have been reaped.
fn is_gone(id: u32) -> bool {
    match std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}

async fn all_gone(ids: &[u32]) {
    let gone = async {
        while !ids.iter().copied().all(is_gone) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("a process is left");
}

/// A program that starts another, writes both ids, and waits for ever.
const FAMILY: &[&str] = &["sh", "-c", "sleep 600 & echo $$; echo $!; wait"];

#[tokio::test]
async fn a_command_succeeds_when_its_exit_status_does() {
    let record = run(&["true"]).await;
    assert_eq!((record.outcome.clone(), record.exit_code), (HealingOutcome::Unverified, Some(0)));
    assert_eq!(record.output, None);
    let record = run(&["false"]).await;
    assert_eq!(record.outcome, HealingOutcome::Failed("exit status: 1".to_owned()));
    assert_eq!(record.exit_code, Some(1));
    let record = run(&["sh", "-c", "kill -TERM $$"]).await;
    assert_eq!(
        (record.outcome.to_string(), record.exit_code),
        ("it failed: signal: 15 (SIGTERM)".into(), None)
    );
    let record = run(&["/no/such/program", "--now"]).await;
    assert!(matches!(&record.outcome, HealingOutcome::Failed(why) if why.contains("/no/such/program")));
}

#[tokio::test]
async fn arguments_are_passed_unchanged() {
    let odd = ["a b", "\"q\"", "'", "$(id)", "`id`", "*", ";", "&&", "", "ä\\n"];
    let mut command = vec!["printf", "[%s]"];
    command.extend(odd);
    let expected: String = odd.iter().map(|argument| format!("[{argument}]")).collect();
    assert_eq!(run(&command).await.output, Some(expected));
}

#[tokio::test]
async fn the_standard_input_of_a_command_is_empty() {
    assert_eq!(run(&["cat"]).await.output, None, "its input is empty");
}

/// The environment of an `env` command that `change` has changed.
async fn environment(change: impl FnOnce(Action) -> Action) -> BTreeMap<String, String> {
    let action = change(Action::command(["env"]));
    let healing = Healing::new("command", "commanded").action(action).verify(false);
    let record = Health::standalone().heal(healing).unwrap().run_now().await.unwrap();
    let output = record.output.clone().unwrap();
    let mut all: BTreeMap<String, String> = output
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    assert!(all.remove("CAMPANILE_HEALING").is_some(), "the marker of the command");
    all
}

#[tokio::test]
async fn a_command_inherits_few_variables() {
    let own = |names: &[&str]| -> BTreeMap<String, String> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
    };
    // Cargo sets this variable for tests. It stands for one that may be a secret.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let clean = own(&["PATH", "HOME", "LANG"]);
    assert!(clean.contains_key("PATH"));
    assert_eq!(environment(|action| action).await, clean);
    let mut expected = clean;
    expected.extend([("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("ZONE".to_owned(), "a=b".to_owned())]);
    let set = environment(|action| action.env("ZONE", "a=b").env("PATH", "/usr/bin:/bin")).await;
    assert_eq!(set, expected);
    let whole = environment(|action| action.inherit_env().env("ZONE", "a")).await;
    assert_eq!(whole.get("CARGO_PKG_NAME").map(String::as_str), Some("campanile"));
    assert_eq!(whole.get("ZONE").map(String::as_str), Some("a"));
}

#[test]
fn only_a_command_has_an_environment() {
    let refused = |action: Action| {
        let error = Health::standalone().heal(Healing::new("heal", "it").action(action)).unwrap_err();
        (error.setting().to_owned(), error.to_string())
    };
    let function = || Action::new(|| async {});
    assert_eq!(refused(function().env("A", "b")).0, "healing.env");
    assert_eq!(refused(function().inherit_env()).0, "healing.env");
    for (name, value) in [("", "hunter2"), ("A=B", "hunter2"), ("A\0", "hunter2"), ("A", "hunter2\0")] {
        let (setting, text) = refused(Action::command(["true"]).env(name, value));
        assert!(setting == "healing.env" && !text.contains("hunter2"), "{text}");
    }
    let shown = format!("{:?}", Action::command(["true"]).env("TOKEN", "hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn the_end_of_both_outputs_is_kept_without_its_secrets() {
    let record = run(&["sh", "-c", "echo out; echo err >&2"]).await;
    let output = record.output.clone().unwrap();
    assert!(output.contains("out") && output.contains("err"), "{output}");
    let record = run(&["seq", "1", "200000"]).await;
    let output = record.output.clone().unwrap();
    assert!(output.len() <= 4_096 && output.ends_with("\n199999\n200000"), "{output}");
    let record = run(&["echo", "could not log in with password=hunter2"]).await;
    assert!(!record.output.as_ref().unwrap().contains("hunter2"), "{record:?}");
}

#[tokio::test]
async fn a_private_key_that_the_record_would_cut_is_redacted_whole() {
    let script = "echo '-----BEGIN PRIVATE KEY-----'; \
        for i in $(seq 1000 1149); do echo \"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDw2vXn4oB$i\"; done; \
        echo '-----END PRIVATE KEY-----'; echo done";
    let record = run(&["sh", "-c", script]).await;
    let output = record.output.clone().unwrap();
    assert!(output.ends_with("done") && !output.contains("MIIEvQIBADANBgkqhkiG"), "{output}");
}

#[cfg(all(target_os = "linux", feature = "sqlite"))]
#[tokio::test]
async fn a_command_inherits_no_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = campanile::store::SqliteStore::open(folder.path().join("letters.db")).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    assert!(own.iter().any(|file| file.ends_with("letters.db")), "{own:?}");
    let sockets = own.iter().filter(|file| file.starts_with("socket:"));
    let record = run(&["sh", "-c", "for fd in /proc/self/fd/*; do readlink $fd; done"]).await;
    let given = record.output.clone().unwrap();
    assert!(!given.contains("letters.db"), "{given}");
    for socket in sockets {
        assert!(!given.contains(socket.as_str()), "{given}");
    }
    drop((store, listener));
}

#[tokio::test]
async fn p53_a_command_that_times_out_is_killed_with_its_children() {
    let handle = heal(FAMILY, Duration::from_millis(500));
    let record = handle.run_now().await.unwrap();
    assert_eq!((record.outcome.clone(), record.exit_code), (HealingOutcome::TimedOut, None));
    assert!(record.took >= Duration::from_millis(500) && record.took < Duration::from_secs(10));
    let ids = ids(record.output.as_ref().unwrap());
    assert_eq!(ids.len(), 2);
    all_gone(&ids).await;
}

#[tokio::test]
async fn p53_a_command_that_writes_without_end_is_killed_in_time() {
    let handle = heal(&["yes", "no"], Duration::from_millis(300));
    let record = handle.run_now().await.unwrap();
    assert_eq!(record.outcome, HealingOutcome::TimedOut);
    assert!(record.took < Duration::from_secs(10) && record.output.as_ref().unwrap().len() <= 4_096);
}

#[tokio::test]
async fn the_process_group_of_a_command_ends_with_it() {
    for (script, outcome) in [
        ("sleep 600 & echo $!; sleep 600 & echo $!", HealingOutcome::Unverified),
        ("sleep 600 & echo $!; exit 3", HealingOutcome::Failed("exit status: 3".to_owned())),
    ] {
        let record = run(&["sh", "-c", script]).await;
        assert_eq!(record.outcome, outcome);
        all_gone(&ids(record.output.as_ref().unwrap())).await;
    }
}

#[tokio::test]
async fn a_process_that_leaves_the_group_survives_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let inner = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", file.display());
    let script = format!("setsid sh -c '{inner}' & while [ ! -e {0} ]; do :; done; cat {0}", file.display());
    let record = run(&["sh", "-c", &script]).await;
    assert_eq!(record.outcome, HealingOutcome::Unverified);
    assert!(record.took < Duration::from_secs(20), "{record:?}");
    let left = ids(record.output.as_ref().unwrap());
    assert!(!is_gone(left[0]), "it may be the service that was to be started");
    assert!(std::process::Command::new("kill").arg(left[0].to_string()).status().unwrap().success());
}

/// A program that starts others, which leave its group: one whose parent stays, one whose parent ends, and one that clears
/// its environment. It waits until they have written their ids into `folder`, writes them, and waits for ever.
fn descendants(folder: &Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let inner = |name: &str| format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", file(name));
    let all = ["a", "b", "c"].map(&file).join(" ");
    format!(
        "setsid sh -c '{}' & (setsid sh -c '{}' &) ; env -i PATH=\"$PATH\" setsid sh -c '{}' & \
         for each in {all}; do while [ ! -e $each ]; do :; done; cat $each; done; wait",
        inner("a"),
        inner("b"),
        inner("c"),
    )
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn at_the_timeout_processes_that_left_the_group_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let handle = heal(&["sh", "-c", &descendants(folder.path())], Duration::from_secs(2));
    let record = handle.run_now().await.unwrap();
    assert_eq!(record.outcome, HealingOutcome::TimedOut);
    let ids = ids(record.output.as_ref().unwrap());
    assert_eq!(ids.len(), 3);
    all_gone(&ids).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn descendants_without_the_variable_are_killed_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    // A process whose parent was killed first would no longer descend from the command.
    let family = format!(
        "for each in 1 2 3 4 5 6 7 8; do sh -c \"sleep 600 & echo \\$!; wait\" & echo $!; done > {0}.new; \
         while [ $(wc -l < {0}.new) -lt 16 ]; do :; done; mv {0}.new {0}; wait",
        file.display()
    );
    let script = format!(
        "env -i PATH=\"$PATH\" setsid sh -c '{family}' & while [ ! -e {0} ]; do :; done; cat {0}; wait",
        file.display()
    );
    let record = heal(&["sh", "-c", &script], Duration::from_secs(2)).run_now().await.unwrap();
    assert_eq!(record.outcome, HealingOutcome::TimedOut);
    let ids = ids(record.output.as_ref().unwrap());
    assert_eq!(ids.len(), 16);
    all_gone(&ids).await;
}

#[test]
fn p53_a_command_ends_with_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    let script =
        format!("sleep 600 & echo $$ > {0}.new; echo $! >> {0}.new; mv {0}.new {0}; wait", file.display());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let handle = heal(&["sh", "-c", &script], Duration::from_secs(600));
    let running = handle.clone();
    first.block_on(async {
        tokio::spawn(async move { running.run_now().await });
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    });
    let ids = ids(&std::fs::read_to_string(&file).unwrap());
    assert!(ids.len() == 2 && !ids.iter().copied().any(is_gone));
    drop(first);
    runtime().block_on(all_gone(&ids));
    let records = handle.records();
    assert!(
        matches!(&*records, [record] if matches!(record.outcome, HealingOutcome::Failed(_))),
        "{records:?}"
    );
}
