//! Healing by commands: real programs, on the real clock.

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

/// The ids that a program wrote, a line for each.
fn ids(output: &str) -> Vec<u32> {
    output.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether the process is no more, but for somebody who might ask how it ended.
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

/// A program that starts another, tells both ids, and waits for ever.
const FAMILY: &[&str] = &["sh", "-c", "sleep 600 & echo $$; echo $!; wait"];

#[tokio::test]
async fn a_command_is_done_when_it_ends_with_success() {
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
async fn arguments_arrive_as_they_are() {
    let odd = ["a b", "\"q\"", "'", "$(id)", "`id`", "*", ";", "&&", "", "ä\\n"];
    let mut command = vec!["printf", "[%s]"];
    command.extend(odd);
    let expected: String = odd.iter().map(|argument| format!("[{argument}]")).collect();
    assert_eq!(run(&command).await.output, Some(expected));
}

#[tokio::test]
async fn a_command_reads_nothing_and_inherits_the_environment() {
    assert_eq!(run(&["cat"]).await.output, None, "its input is empty");
    let path = run(&["printenv", "PATH"]).await.output.clone();
    assert_eq!(path, std::env::var("PATH").ok());
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
async fn p53_a_command_that_takes_too_long_is_killed_with_what_it_started() {
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
async fn what_a_command_leaves_running_is_not_waited_for() {
    let record = run(&["sh", "-c", "sleep 600 & echo $!"]).await;
    assert_eq!(record.outcome, HealingOutcome::Unverified);
    assert!(record.took < Duration::from_secs(20), "{record:?}");
    let left = ids(record.output.as_ref().unwrap());
    assert!(!is_gone(left[0]), "it may be what was to be started");
    assert!(std::process::Command::new("kill").arg(left[0].to_string()).status().unwrap().success());
}

#[test]
fn p53_a_command_ends_with_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("ids");
    let script =
        format!("sleep 600 & echo $$ > {0}.new; echo $! >> {0}.new; mv {0}.new {0}; wait", told.display());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let handle = heal(&["sh", "-c", &script], Duration::from_secs(600));
    let running = handle.clone();
    first.block_on(async {
        tokio::spawn(async move { running.run_now().await });
        while !told.exists() {
            tokio::task::yield_now().await;
        }
    });
    let ids = ids(&std::fs::read_to_string(&told).unwrap());
    assert!(ids.len() == 2 && !ids.iter().copied().any(is_gone));
    drop(first);
    runtime().block_on(all_gone(&ids));
    let records = handle.records();
    assert!(
        matches!(&*records, [record] if matches!(record.outcome, HealingOutcome::Failed(_))),
        "{records:?}"
    );
}
