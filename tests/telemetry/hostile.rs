//! Redaction of hostile texts: it ends, adds little to the text, changes nothing in a second pass, and removes every planted
//! secret.

use campanile::redact::{RedactionSettings, Redactor, Treatment};
use proptest::prelude::*;

fn redactor() -> Redactor {
    Redactor::from_settings(&RedactionSettings::default()).unwrap()
}

/// Parts of texts that are hard to search.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "token",
        "password",
        "api_key",
        "Bearer ",
        "Basic ",
        "https://",
        "pin",
        "tokens",
        "name",
        "value",
        "cookie",
        "--password ",
        "eyJhbGciOiJIUzI1NiJ9",
        "AKIAIOSFODNN7EXAMPLE",
        "4242",
        "4242 4242 4242 4242",
        "a@b.io",
        "%40",
        "%3D",
        "%25",
        "\\u0077",
        "::",
        "null",
        "must be",
        "[redacted]",
        "</",
        "\\\"",
        "\r\n",
        "- ",
        "hooks.slack.com/services/",
        "-----BEGIN PRIVATE KEY-----",
        "String",
        "self.",
        "DE89370400440532013000",
    ];
    prop_oneof![
        4 => "[=:>@%'\"\\\\{}()\\[\\]&;,<?# \n|+/._-]",
        2 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => "[a-zé0-9]{1,6}",
    ]
}

fn hostile() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::long::times(1_000, 50_000)))]

    #[test]
    fn p39_redaction_ends_and_a_second_pass_changes_nothing(text in hostile()) {
        let redactor = redactor();
        let clean = redactor.text(&text).into_owned();
        prop_assert!(clean.len() <= 11 * text.len() + 11, "{clean:?}");
        prop_assert_eq!(redactor.text(&clean), clean.as_str(), "{:?}", text);
        let clean = redactor.query(&text).into_owned();
        prop_assert_eq!(redactor.query(&clean), clean.as_str(), "{:?}", text);
    }

    #[test]
    fn p39_any_bytes_are_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let redactor = redactor();
        let clean = redactor.bytes(&bytes).into_owned();
        prop_assert!(clean.len() <= 11 * bytes.len() + 11);
        prop_assert_eq!(&*redactor.bytes(&clean), clean.as_slice());
    }

    #[test]
    fn p39_a_planted_secret_is_removed_after_any_text(
        before in hostile(),
        name in proptest::sample::select(vec!["\npassword=", "\ntoken=", "\n&api_key=", "\nX-Api-Key: ", "\nsecret => "]),
        secret in "[A-Za-z]{8}[0-9]{8}[A-Za-z]{8}",
        behind in hostile(),
        hash in any::<bool>(),
    ) {
        let settings = RedactionSettings::default();
        let settings = if hash { settings.hash(["password", "token"]).key("0123456789abcdef") } else { settings };
        let redactor = Redactor::from_settings(&settings.cards(Treatment::Mask)).unwrap();
        let text = format!("{before}{name}{secret} {behind}");
        let clean = redactor.text(&text);
        prop_assert!(!clean.contains(&secret), "{text:?} -> {clean:?}");
    }
}
