//! The secrets that are found in texts, and the cost of the search.

use super::steps::counted::steps;
use super::{RedactionSettings, Redactor, Treatment};

fn redactor() -> Redactor {
    Redactor::from_settings(&RedactionSettings::default().mask(["Pin Code"])).unwrap()
}

#[test]
fn text_is_searched_for_pairs() {
    let redactor = redactor();
    for (text, redacted) in [
        ("token=abc&x=1", "token=[redacted]&x=1"),
        ("bad password: hunter2, sorry", "bad password: [redacted], sorry"),
        (r#"{"password": "a b", "x": 1"#, r#"{"password": "[redacted]", "x": 1"#),
        (r#"{"password": "a\"b", "x": 1"#, r#"{"password": "[redacted]", "x": 1"#),
        (r#"{\"secret\":\"ab\"}"#, r#"{\"secret\":\"[redacted]\"}"#),
        ("<token>abc</token>", "<token>[redacted]</token>"),
        ("<a:token>abc</a:token>", "<a:token>[redacted]</a:token>"),
        ("Authorization: Bearer abcdefghijk\nHost: h", "Authorization: [redacted]\nHost: h"),
        ("Cookie: a=b; c=d\r\nHost: h", "Cookie: [redacted]\r\nHost: h"),
        ("sent Bearer abcdefghijk to it", "sent Bearer [redacted] to it"),
        ("GET http://u:p@h/ failed", "GET http://[redacted]@h/ failed"),
        ("token=é, ok", "token=[redacted], ok"),
        (r#"{"token": ["a", {"b": "c"}], "x": 1}"#, r#"{"token": [redacted], "x": 1}"#),
        (r#"{"token": ["a", "b"#, r#"{"token": [redacted]"#),
        ("User { password: \"x y\", id: 7 }", "User { password: \"[redacted]\", id: 7 }"),
        ("User { password: Some(\"x y\"), id: 7 }", "User { password: [redacted], id: 7 }"),
        ("Login { pin_code: 4711 }", "Login { pin_code: [redacted] }"),
        ("Card { n: 4242424242424242 }", "Card { n: [redacted] }"),
        ("{\"x-api-key\": Sensitive, \"a\": 1}", "{\"x-api-key\": [redacted], \"a\": 1}"),
        ("/cb#access_token=a,b&state=1", "/cb#access_token=[redacted]&state=1"),
        ("/b?sig=abc%3D&se=2026", "/b?sig=[redacted]&se=2026"),
        ("mail=ann@example.com", "mail=[redacted]"),
        ("user[password]=x&a=1", "user[password]=[redacted]&a=1"),
        ("password='a b' ok", "password='[redacted]' ok"),
        ("token => abc", "token => [redacted]"),
    ] {
        assert_eq!(redactor.text(text), redacted);
        assert_eq!(redactor.text(redacted), redacted, "once is enough");
    }
    for open in [
        "the token was refused",
        "basic needs",
        "max_tokens=5",
        "",
        "http://h/p@q",
        "password: ",
        "token=null",
        "token: None",
        "src::token::parse",
        "Vec<Token> of length 3",
        "2026-11-21T16:32:09Z INFO shop: order=17 took=3ms",
        "sig=1, signature: fn(a)",
        "the key == 3 > 2",
    ] {
        assert_eq!(redactor.text(open), open);
    }
}

#[test]
fn options_of_programs_are_read_as_commands_are_printed() {
    let redactor = redactor();
    for text in [
        r#""mysql" "-phunter2" "shop""#,
        r#"["mysql", "-phunter2"]"#,
        r#"["sshpass","-p","hunter2","ssh"]"#,
        r#""/usr/bin/sshpass" "-p" "hunter2" "ssh" "h""#,
        "['curl', '-u', 'ann:hunter2', 'https://h/?a=1&b=2']",
        "curl https://h/?a=1&b=2 -u ann:hunter2",
        "mysql.exe -phunter2 shop",
        "cqlsh -u ann -p hunter2",
        "kind: 'Secret'\ndata:\n  a: hunter2\n",
    ] {
        let clean = redactor.text(text);
        assert_eq!(clean, text.replace("hunter2", "[redacted]"));
        assert_eq!(redactor.text(&clean), clean, "once is enough");
    }
    for open in [
        "docker login && docker run -p 8080:80 nginx",
        "docker login -p is not safe",
        "\"login\" \"-p\"",
        "\"mysql\" \"-p\" \"shop\"",
        "SELECT id FROM users WHERE token = $1",
        "UPDATE users SET password = ?2 WHERE id = ?1",
    ] {
        assert_eq!(redactor.text(open), open);
    }
}

#[test]
fn a_query_is_searched_by_its_own_rules() {
    let redactor = redactor();
    assert_eq!(redactor.query("password=a b,c\"d&x=1&sig=z"), "password=[redacted]&x=1&sig=[redacted]");
    assert_eq!(
        redactor.query("access%5Ftoken=a&to=ann%40example.com"),
        "access%5Ftoken=[redacted]&to=[redacted]"
    );
    assert_eq!(redactor.query("a=1&token=&token"), "a=1&token=&token");
}

#[cfg(feature = "telemetry")]
#[test]
fn what_overlaps_goes_as_one() {
    let settings = RedactionSettings::default()
        .hash(["customer", "email"])
        .pattern(r"c-\d+ \w+", Treatment::Mask)
        .pattern(r"order (\d+)", Treatment::Hash)
        .key("0123456789abcdef");
    let redactor = Redactor::from_settings(&settings).unwrap();
    let hash = |value: &str| redactor.value("customer", value).into_owned();
    assert_eq!(redactor.text("customer=c-17 and"), "customer=[redacted]");
    assert_eq!(redactor.text("customer=c-17."), format!("customer={}", hash("c-17.")));
    assert_eq!(redactor.text("email=ann@b.io"), format!("email={}", hash("ann@b.io")));
    assert_eq!(redactor.text("of ann@b.io"), "of [redacted]");
    assert_eq!(redactor.text("order 66 came"), format!("order {} came", hash("66")));
}

/// The maximum number of steps per byte of any text. The long run finds texts with 106.
const WORST: usize = 120;

/// Texts for which a search that is not linear would be slow.
fn hostile(length: usize) -> Vec<(String, Vec<u8>)> {
    let fill = |part: &[u8]| part.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    let mut texts = Vec::new();
    let mut add = |what: String, text: Vec<u8>| texts.push((what, text));
    for before in [
        "",
        "token=",
        "token: ",
        "pin=",
        "{\"token\":\"",
        "--token ",
        "<token>",
        "http://a:b",
        "eyJ",
        "(\"token\", ",
    ] {
        // Every sign, and some of each other class of bytes.
        for byte in (0..=u8::MAX).filter(|byte| byte.is_ascii_punctuation() || byte % 16 == 1) {
            let mut text = before.as_bytes().to_vec();
            text.extend(fill(&[byte]));
            add(format!("{before} and a run of {byte}"), text);
        }
    }
    let parts = PARTS.lines().flat_map(|line| [line.to_owned(), format!("{line}\n"), format!("{line} ")]);
    for part in parts.chain(
        [
            "basic+",
            "eyJ-",
            "a://",
            "a=b%=",
            "http://a:b/",
            "http://a:b/?",
            "\\\"",
            "'",
            "pwd:\n",
            " pwd:\n  ",
            "pin:\n   ",
            "[{",
            "{\"a\":",
        ]
        .map(str::to_owned),
    ) {
        let mut text = fill(part.as_bytes());
        add(format!("{part:?} again and again"), text.clone());
        text.extend(b" x y");
        add(format!("{part:?} again and again, and more"), text);
        for after in ["'", "\"", "}", ")", "@", "</", "\\", "(", "{"] {
            // A secret at the end would hide the whole text at once, so other text follows.
            let mut text = fill(format!("{part}{after}").as_bytes());
            text.extend(b" x y");
            add(format!("{part:?} and {after:?} in turn"), text);
        }
    }
    // Ever deeper.
    let mut deeper = Vec::new();
    for depth in 0.. {
        if deeper.len() >= length {
            break;
        }
        deeper.extend(b" ".repeat(depth));
        deeper.extend(b"pin:\n");
    }
    add("ever deeper".to_owned(), deeper);
    texts
}

const PARTS: &str = r#"token=
token: f('x),
token: is
pin=(
pin=1(
<pin>
<pin>1234
<token>x
"name": "password",
"name": "password", "value": "
"value":"
value=\"
value="value='
a=%
?a=%
id=token=
("token", x,
("token", "x", y
["password", "
--token --token
token: [
token: {'
token = "\\\"
a=b,
password: not
4242 4242 4242 424
4242424242424242 
4242-4242-4242-4242-
DE89 3704 0044 0532 0130 0
a@b.io 
a@a.a@
%40a%40
bearer bearer 
basic+basic
http://a:b/
http://u:p@
sk_live_sk_live_
ghp_ghp_
eyJ.eyJ.
eyJhbGciOiJIUzI1NiJ9.
-----BEGIN PRIVATE KEY-----
https://hooks.slack.com/services/
password: |
password:
  password: |
- token:
token-token_token.token
(a
Password("
Secret(Secret(Secret(
[ "token",
X { value: "
 -p
mysql -p
curl -u a:
 '
by '
pwd "
-----BEGIN 
a-b-c-d-e-f-g-h-i-j-k
eyJeyJ-eyJeyJeyJeyJ
ghp_-ghp_aaaaaaaaaaaaaaaaaaaa
MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.
https://hooks.slack.com/services/aaaaaaaaaaaaaaaaaaa/
a.webhook.office.com/aaaaaaaaaaaaaaaaaaaaaaaa/
1234567890:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
%2525
%26quot;
&amp;quot;
\u005cu005c
\u0022token\u0022:
&#x26;#x26;
<a b="c">
<a name="token">
<token x="">
[1mtoken[0m=
token -> 
a:b@tcp(
a:b@c.io:1
data:\n
kind: Secret data:
kind: Secret\ndata:\n  a: b
form-data; name="token"
passwordpasswordpassword=
auth=aA1bB2
code=aA1bB2&
per token: 0
token: [A(
-D-D-Dtoken="#;

/// Texts that repeat a few pieces in the orders that a seed gives.
fn mixtures(length: usize, number: usize, seed: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    const SIGNS: &str = "=:>@%'\"\\{}()[]&;,<?# \n|+/._-$*!";
    let mut random = fastrand::Rng::with_seed(seed);
    let pieces: Vec<String> =
        PARTS.lines().map(str::to_owned).chain(SIGNS.chars().map(String::from)).collect();
    (0..number).map(move |_| {
        let part: String =
            (0..random.usize(2..9)).map(|_| pieces[random.usize(..pieces.len())].as_str()).collect();
        // Whole pieces at the beginning, so that what they open may stay open.
        let before = &pieces[random.usize(..pieces.len())];
        let text = before.bytes().chain(part.bytes().cycle()).take(length).chain(*b" x y");
        (format!("{before:?}, and {part:?} again and again"), text.collect())
    })
}

/// The maximum number of steps per byte among `texts`, and the text with that number.
fn worst(texts: impl IntoIterator<Item = (String, Vec<u8>)>) -> (usize, String) {
    let redactor = redactor();
    let mut worst = (0, String::new());
    for (what, text) in texts {
        for format in [super::Format::Text, super::Format::Query, super::Format::Json] {
            let cost = steps(|| drop(redactor.rules_for_tests().clean(&text, format, &mut |_| ())));
            let of_a_byte = cost.div_ceil(text.len());
            if of_a_byte > worst.0 {
                worst = (of_a_byte, format!("{format:?}: {what}"));
            }
        }
    }
    worst
}

#[test]
fn what_a_byte_costs_is_bounded() {
    // In the usual run some of each kind.
    let long = std::env::var_os("CAMPANILE_TEST_LONG").is_some();
    let (every, number) = if long { (1, 20_000) } else { (11, 100) };
    let texts = hostile(4096).into_iter().step_by(every).chain(mixtures(4096, number, 7));
    let (steps, what) = worst(texts);
    println!("at most {steps} steps for a byte: {what}");
    assert!(steps <= WORST, "{steps} steps for a byte: {what}");
    // Longer texts have the same cost per byte: the search is linear.
    let (every, number) = if long { (7, 40) } else { (331, 3) };
    let longer = hostile(16_384).into_iter().step_by(every).chain(mixtures(131_072, number, 8));
    let (steps, what) = worst(longer);
    println!("at most {steps} steps for a byte of longer ones: {what}");
    assert!(steps <= WORST, "{steps} steps for a byte: {what}");
}
