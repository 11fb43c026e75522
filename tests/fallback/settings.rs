//! Settings that are out of range.

use std::time::Duration;

use campanile::fallback::{Alternatives, FallbackSettings};
use campanile::{Backoff, Fallback};

#[test]
fn an_error_names_the_setting_its_value_and_what_is_allowed() {
    let error =
        |settings: FallbackSettings| Fallback::from_settings("prices", &settings).unwrap_err().to_string();
    let none = FallbackSettings { max_answers: 0, ..FallbackSettings::default() };
    assert_eq!(
        error(none),
        "setting `max_answers` of fallback `prices` cannot be 0; allowed: from 1 to 1,000,000"
    );
    let tiny = FallbackSettings { max_bytes: 10, ..FallbackSettings::default() };
    assert!(error(tiny).contains("`max_bytes`"));
    let instant = FallbackSettings { max_age: Duration::ZERO, ..FallbackSettings::default() };
    assert!(error(instant).contains("`max_age`"));
    let large = FallbackSettings { max_body: usize::MAX, ..FallbackSettings::default() };
    assert!(error(large).contains("`max_body`"));
    let text = r#"{ "max_answer": 5 }"#;
    assert!(serde_json::from_str::<FallbackSettings>(text).unwrap_err().to_string().contains("max_answer"));
}

#[test]
fn alternatives_need_names_and_limits() {
    let builder = || Alternatives::<u32>::builder("db");
    let error = |result: Result<Alternatives<u32>, campanile::ConfigError>| result.unwrap_err().to_string();
    let connect = || async { Ok::<_, std::io::Error>(1) };
    assert_eq!(
        error(builder().build()),
        "setting `add` of alternatives `db` cannot be 0; allowed: from 1 to 16 alternatives"
    );
    assert_eq!(
        error(builder().add("a", connect).add("a", connect).build()),
        "setting `add` of alternatives `db` cannot be \"a\"; allowed: a name for each alternative"
    );
    let hasty = builder().add("a", connect).connect_timeout(Duration::ZERO).build();
    assert!(error(hasty).contains("`connect_timeout`"));
    let backoff = Backoff::constant(Duration::ZERO);
    assert!(error(builder().add("a", connect).backoff(backoff).build()).contains("`backoff"));
}
