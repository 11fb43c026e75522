//! The names that are found in longer names.

use super::names::Names;
use super::treatment::Treatment;

fn names() -> Names {
    let mut names = Names::default();
    names.add_defaults();
    for name in ["Pin Code", "пароль"] {
        assert!(names.set(name, Treatment::Mask));
    }
    names
}

#[test]
fn a_name_is_compared_word_by_word() {
    let names = names();
    for secret in [
        "Authorization",
        "proxy-authorization",
        "http.request.header.authorization",
        "apiKey",
        "apikey",
        "X-API-KEY",
        "APIKey",
        "access_token",
        "access%5Ftoken",
        "pass\\u0077ord",
        "HTTPToken",
        "token2",
        "oauth2Token",
        "AWSAccessKeyId",
        "userPassword",
        "DB_PASSWORD",
        "PGPASSWORD",
        "accesstoken",
        "authtoken",
        "clientsecret",
        "secretkey",
        "session_id",
        "Ocp-Apim-Subscription-Key",
        "x-functions-key",
        "X-Auth",
        "pin_code",
        "pinCode",
        "secret",
        "мой_Пароль",
        "größe_token",
        "dbpassword",
        "JSESSIONID",
        "csrfmiddlewaretoken",
        "userpassword2",
        "appsecret",
    ] {
        assert!(names.rule(secret.as_bytes()).hides(b"abc"), "{secret}");
    }
    for open in [
        "author",
        "idempotency-key",
        "pin",
        "",
        "content-type",
        "cookies_accepted",
        "tokenizer",
        "token_type",
        "tokenEndpoint",
        "password_min_length",
        "x-auth-user",
        "compass",
        "dbpasswordfile_path",
        "csrftoken_url",
        "größe",
        "_",
        "%",
    ] {
        assert!(!names.rule(open.as_bytes()).hides(b"abc"), "{open}");
    }
    for (name, secret, open) in [
        ("max_tokens", "abc", "4096"),
        ("pin", "4711", "13"),
        ("card_cvc", "123", "pass"),
        ("otp", "123 456", "true"),
        ("user.ssn", "078-05-1120", "unknown"),
        ("pass", "hunter2", "12"),
        ("connect.sid", "a8Fk29xQ01Zb", "started"),
        ("auth", "YW5uOmh1bnRlcjI=", "oauth2-required"),
    ] {
        let rule = names.rule(name.as_bytes());
        assert!(rule.hides(secret.as_bytes()) && !rule.hides(open.as_bytes()), "{name}");
    }
}

#[test]
fn a_longer_name_wins_over_a_shorter_one() {
    let mut names = names();
    names.set("page-token", Treatment::Leave);
    names.set("csrf token", Treatment::Hash);
    names.set("cookie", Treatment::Leave);
    for (name, treatment) in [
        ("nextPageToken", Treatment::Leave),
        ("page_token_secret", Treatment::Mask),
        ("page.auth_token", Treatment::Mask),
        ("csrfToken", Treatment::Hash),
        ("csrf_token_password", Treatment::Hash),
        ("cookie", Treatment::Leave),
        ("set-cookie", Treatment::Mask),
    ] {
        assert_eq!(names.rule(name.as_bytes()).treatment, treatment, "{name}");
    }
}

#[test]
fn a_long_name_is_compared_as_a_short_one_is() {
    let names = names();
    let long = "x_".repeat(200);
    let hides = |name: String| names.rule(name.as_bytes()).hides(b"abc");
    assert!(hides(format!("{long}token")) && hides(format!("token_{long}")));
    assert!(!hides(format!("{long}tokenizer")));
}
