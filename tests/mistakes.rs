//! What the compiler says to the mistakes that users of such layers make. Each file in `tests/mistakes` is one, and its
//! `.stderr` is the whole answer of one version of the compiler. `TRYBUILD=overwrite cargo test --all-features --test
//! mistakes` writes these again.
//!
//! The cases are compiled in a project of their own, with the packages of this one: the first run takes minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, panic};

/// The version of the compiler whose whole answers are compared. Others have to say at least our own words.
const PINNED: &str = "1.95.0";

struct Mistake {
    /// The name of its file.
    name: &'static str,
    /// Who makes it: where users of this library or of its peers have reported it.
    #[allow(dead_code)]
    reported: &'static str,
    /// What every version of the compiler has to say: what is wrong, and what to do.
    says: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "request_not_clone",
        reported: "grpc/grpc-rust 733: `http::Request` was not `Clone` for the retry of tower; tower 790",
        says: &["a retry cannot send `Order` again, because it is not `Clone`", "derive `Clone` for it"],
    },
    Mistake {
        // A method is only looked up, so the compiler gives no reason. It shows the definition of our service.
        name: "request_not_clone_by_method",
        reported: "juhaku/utoipa 369, Xuanwo/backon 50: \"its trait bounds were not satisfied\"",
        says: &["// a `Service<Req> + Clone` with `Req: Clone`"],
    },
    Mistake {
        name: "service_not_clone",
        reported: "apollographql/router 657: a layer around tower's `BoxService`; vectordotdev/vector 14345",
        says: &[
            "is not `Clone`, as this layer needs it",
            "`tower::util::BoxCloneService` instead of `BoxService`",
        ],
    },
    Mistake {
        name: "future_instead_of_closure",
        reported: "Xuanwo/backon 50 and 1: `foo().retry(..)`, where `foo` had to be the closure",
        says: &["is not a closure that makes a future for each attempt", "`retry.run(|| call(&order))`"],
    },
    Mistake {
        name: "closure_instead_of_future",
        reported: "ihrwein/backoff 4: a closure without the `Result` that was expected",
        says: &["is not a future of a `Result`", "`breaker.call(async { Ok::<_, Error>(value) })`"],
    },
    Mistake {
        name: "request_not_serialize",
        reported: "joshrotenberg/tower-resilience 210: bounds of requests that only the documents named",
        says: &[
            "`Order` cannot be kept as a dead letter",
            "#[derive(Clone, serde::Serialize, serde::Deserialize)]",
        ],
    },
    Mistake {
        name: "error_is_no_error",
        reported: "joshrotenberg/tower-resilience 350: an error type that a retry did not take",
        says: &[
            "the error `Refused` cannot become a `tower::BoxError`",
            "`Refused` is not an error whose causes can be read",
            "this error type has to implement `std::error::Error`",
        ],
    },
    Mistake {
        name: "body_without_bytes",
        reported: "tower-rs/tower-http 479 and 703: bounds of bodies in the layers for HTTP",
        says: &["cannot be sent again", "`http_body::Body<Data = bytes::Bytes> + Send + 'static`"],
    },
    Mistake {
        name: "service_of_another_body",
        reported: "tower-rs/tower 790: a retry has to change the body of requests",
        says: &["is not a service of `http::Request<", "map_request(|request: http::Request<ReplayBody>|"],
    },
    Mistake {
        // A closure of another signature: the compiler does not ask our trait for a message.
        name: "classifier_of_responses",
        reported: "ihrwein/backoff 4, Xuanwo/backon 39: closures that do not fit",
        says: &["Result<&'a http::response::Parts, &'b (dyn std::error::Error + 'static)>"],
    },
    Mistake {
        name: "check_without_future",
        reported: "tokio-rs/axum 2153: a function whose output is not what was expected",
        says: &["is not a check", "has to be a closure without arguments that returns a future"],
    },
    Mistake {
        name: "redrive_of_other_letters",
        reported: "joshrotenberg/tower-resilience 210, as above",
        says: &[
            "`Order` cannot be made from a dead letter for this service",
            "`serde::de::DeserializeOwned`",
        ],
    },
    Mistake {
        // The bound is axum's, and no trait of ours is in it.
        name: "plain_layer_in_axum",
        reported: "benwis/tower-governor 28, tower-rs/tower-http 357, maxcountryman/tower-sessions 108",
        says: &["`Infallible`", "breaker.layer()"],
    },
];

fn case(name: &str, extension: &str) -> PathBuf {
    Path::new("tests/mistakes").join(name).with_extension(extension)
}

/// The words of ours that are missing in the compiler's answers, which are in files with this path.
fn missing(answer: impl Fn(&str) -> PathBuf) -> Vec<String> {
    let mut missing = Vec::new();
    for Mistake { name, says, .. } in MISTAKES {
        let answer = fs::read_to_string(answer(name)).unwrap_or_default();
        missing.extend(
            says.iter().filter(|text| !answer.contains(**text)).map(|text| format!("{name}: {text}")),
        );
    }
    missing
}

/// The version of the compiler that compiles the cases.
fn version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let shown = Command::new(rustc).arg("--version").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn the_compiler_says_what_is_wrong_and_what_to_do() {
    let version = version();
    if version == PINNED {
        let cases = trybuild::TestCases::new();
        cases.compile_fail("tests/mistakes/*.rs");
        return;
    }
    println!(
        "rustc is {version} and not {PINNED}: only the words of this library are looked for, not the whole answers"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for Mistake { name, .. } in MISTAKES {
        fs::copy(case(name, "rs"), folder.join(name).with_extension("rs")).unwrap();
    }
    // Without a `.stderr`, trybuild writes the answers to the folder `wip`, and panics to say so.
    let written = panic::catch_unwind(|| {
        let cases = trybuild::TestCases::new();
        cases.compile_fail(folder.join("*.rs"));
    });
    let missing = missing(|name| Path::new("wip").join(name).with_extension("stderr"));
    let _ = fs::remove_dir_all("wip");
    assert!(written.is_err(), "the cases were compiled without an error");
    assert!(missing.is_empty(), "rustc {version} does not say:\n{}", missing.join("\n"));
}

#[test]
fn the_answers_that_are_kept_have_our_words_and_belong_to_a_case() {
    let missing = missing(|name| case(name, "stderr"));
    assert!(missing.is_empty(), "tests/mistakes/*.stderr does not say:\n{}", missing.join("\n"));
    let files = fs::read_dir("tests/mistakes").unwrap().map(|file| file.unwrap().path());
    let mut unknown: Vec<PathBuf> = files
        .filter(|file| {
            !MISTAKES.iter().any(|mistake| file.file_stem().is_some_and(|stem| stem == mistake.name))
        })
        .collect();
    unknown.sort();
    assert!(unknown.is_empty(), "not in the table of this file: {unknown:?}");
}
