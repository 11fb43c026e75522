//! Mistyped settings, each with the message that helps.

use crate::Folder;

/// What was typed, and what is said.
const IN_A_FILE: [(&str, &str); 22] = [
    // Names.
    ("[helth]\nletters = 5", "campanile.toml:1: `helth` is unknown; did you mean `health`?"),
    (
        "[dependency.payments.breaker]\nfailure_rat = 0.2",
        "campanile.toml:2: `dependency.payments.breaker.failure_rat` is unknown; did you mean `failure_rate`?",
    ),
    (
        "[dependency.payments.retry]\nmax-attempts = 2",
        "campanile.toml:2: `dependency.payments.retry.max-attempts` is unknown; did you mean `max_attempts`?",
    ),
    (
        "[dependency.payments]\n\n# twice a second\nevery = \"500ms\"",
        "campanile.toml:4: `dependency.payments.every` is unknown; allowed: `component`, `critical`, `depends_on`, \
         `breaker`, `retry`, `letters`, `check`, `restart_command`, `healing`",
    ),
    (
        "[telemetry]\nconsole = \"json\"",
        "campanile.toml:2: `telemetry.console` has another place; set `logging.console` instead",
    ),
    (
        "[dependency.\"../etc\"]\nspans = true",
        "campanile.toml:1: `dependency.\"../etc\"` has a name that is not allowed; allowed: letters, digits, `-`, `_`, `.`, \
         `:` and spaces, a letter or digit first, at most 128 bytes",
    ),
    // Types.
    (
        "[dependency.payments.breaker]\nfailure_rate = \"half\"",
        "campanile.toml:2: `dependency.payments.breaker.failure_rate` cannot be \"half\"; allowed: a number",
    ),
    (
        "[dependency.payments.retry]\nmax_attempts = -1",
        "campanile.toml:2: `dependency.payments.retry.max_attempts` cannot be -1; allowed: a whole number from 0 to \
         4294967295",
    ),
    (
        "[dependency.payments]\nbreaker = \"on\"",
        "campanile.toml:2: `dependency.payments.breaker` cannot be \"on\"; allowed: a table, `true` or `false`",
    ),
    (
        "[server.api]\naccess_log = \"yes\"",
        "campanile.toml:2: `server.api.access_log` cannot be \"yes\"; allowed: `true` or `false`",
    ),
    ("health = 5", "campanile.toml:1: `health` cannot be 5; allowed: a table"),
    (
        "[dependency.payments.retry]\ndeadline = \"5 sekunden\"",
        "campanile.toml:2: `dependency.payments.retry.deadline` cannot be \"5 sekunden\": unknown time unit \"sekunden\", \
         supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations); write it such as \
         \"250ms\" or \"1m 30s\"",
    ),
    (
        "[logging]\nconsole = \"jsn\"",
        "campanile.toml:2: `logging.console` cannot be \"jsn\"; did you mean `json`? allowed: off, human, json",
    ),
    (
        "[dependency.payments.breaker.open_for]\nfirst = \"1s\"",
        "campanile.toml:1: `dependency.payments.breaker.open_for` lacks the key `max`",
    ),
    (
        "[metrics]\nlisten = \":9464\"",
        "campanile.toml:2: `metrics.listen` cannot be \":9464\"; allowed: an address with a port, such as \"127.0.0.1:9464\"",
    ),
    (
        "[dependency.payments]\nrestart_command = \"systemctl restart payments\"",
        "campanile.toml:2: `dependency.payments.restart_command` cannot be \"systemctl restart payments\"; allowed: a list",
    ),
    // Ranges.
    (
        "[dependency.payments.breaker]\nfailure_rate = 50",
        "campanile.toml:2: `dependency.payments.breaker.failure_rate` cannot be 50.0; allowed: more than 0 and at most 1",
    ),
    (
        "[dependency.payments.breaker]\nwindow = { count = 5 }",
        "campanile.toml:1: `dependency.payments.breaker.minimum_calls` cannot be 10; allowed: at most the number of calls of \
         the window, or the circuit would never open, which is the default of this setting",
    ),
    (
        "[sampler.thresholds.cpu]\nwarn = 85\ncritical = 95",
        "campanile.toml:2: `sampler.thresholds.cpu.warn` cannot be 85.0; allowed: more than 0 and at most 1",
    ),
    (
        "[endpoint.search]\naddress = \"ada:hunter2@search:9200\"",
        "campanile.toml:2: `endpoint.search.address` cannot be \"search:9200\"; allowed: http://, https://, grpc://, grpcs:// or \
         tcp://, followed by a host and a port",
    ),
    (
        "[endpoint.search]\nevery = \"10s\"",
        "campanile.toml:1: `endpoint.search.address` cannot be left out: an endpoint needs an address, such as \
         \"http://search:9200/\"",
    ),
    (
        "[database.orders]\nwarn_above = \"2s\"\nerror_above = \"1s\"",
        "campanile.toml:3: `database.orders.error_above` cannot be 1s; allowed: at least `warn_above` and less than `timeout`",
    ),
];

#[test]
fn each_mistake_in_a_file_has_a_message_that_helps() {
    let mut wrong = Vec::new();
    for (text, expected) in IN_A_FILE {
        let folder = Folder::toml(text);
        let said = match folder.loader().load() {
            Ok(_) => vec!["nothing".to_owned()],
            Err(errors) => folder.faults(&errors),
        };
        if said != [expected] {
            wrong
                .push(format!("{text}\n  said:     {}\n  expected: {expected}", said.join("\n            ")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_the_layers_and_lines() {
    let folder = Folder::toml(
        "[health]\nletters = 0\nerror_share = 7\n[dependency.a.breaker]\nfailure_rate = 2\n[dependency.b]\nretri = true\n\
         [dependency.b.retry]\nmax_attempts = \"many\"\n",
    );
    let errors = folder
        .loader()
        .environment([("CAMPANILE__HEALTH__ROUND", "1h")])
        .arguments(["worker.import.components=x"])
        .load()
        .expect_err("five faults");
    let settings: Vec<_> = errors.faults().iter().map(|fault| fault.setting()).collect();
    assert_eq!(
        settings,
        [
            "health.letters",
            "health.error_share",
            "dependency.a.breaker.failure_rate",
            "dependency.b.retri",
            "dependency.b.retry.max_attempts",
            "health.round",
            "worker.import.components",
        ]
    );
    let origins: Vec<_> = errors.faults().iter().map(|fault| fault.origin().rsplit('/').next()).collect();
    let expected = ["toml:2", "toml:3", "toml:5", "toml:7", "toml:9"].map(|line| format!("campanile.{line}"));
    assert_eq!(origins[..5], expected.each_ref().map(|origin| Some(origin.as_str())));
    assert_eq!(
        origins[5..],
        [Some("variable CAMPANILE__HEALTH__ROUND"), Some("argument worker.import.components")]
    );
    assert_eq!(errors.to_string().lines().count(), 7, "one line for each");
}

#[test]
fn a_file_of_nothing_but_faults_is_bounded() {
    let text: String = (0..500).map(|number| format!("wrong_{number} = 1\n")).collect();
    let errors = Folder::toml(&text).loader().load().expect_err("500 faults");
    assert_eq!(errors.faults().len(), 100);
}
