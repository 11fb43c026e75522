//! Redaction of secrets in many notations ("carriers"), and false alarms in ordinary text.

use std::fmt::Write as _;

use campanile::redact::{RedactionSettings, Redactor};

/// The planted secrets. None has a recognizable shape.
const SECRETS: &[&str] =
    &["hunter2", "Tr0ub4dor&3", "correct-horse-9", "9f86d081884c7d65", "s3cr3t.value_x", "Zm9vYmFyYmF6cXV4"];

/// Texts with a secret in the place of `§`.
const CARRIERS: &[(&str, &[&str])] = &[
    ("JSON", &[r#"{"id": 7, "password": "§", "n": 1}"#, r#"{"a":[{"apiKey":"§"}]}"#, r#"{"tokens": ["§"]}"#]),
    ("JSON, escaped name", &[r#"{"pass\u0077ord": "§"}"#, r#"{"api\u005fkey":"§"}"#]),
    ("JSON in a string", &[r#""{\"secret\":\"§\",\"n\":1}""#, r#"{"raw":"{\\\"token\\\":\\\"§\\\"}"}"#]),
    (
        "JSON, name and value",
        &[
            r#"{"name":"password","value":"§"}"#,
            r#"{"value":"§","name":"DB_PASSWORD"}"#,
            r#"[{"key": "api_key", "type": "text", "value": "§"}]"#,
        ],
    ),
    ("JSON, on two lines", &["{\n  \"password\":\n    \"§\"\n}"]),
    ("JSON, cut off", &[r#"{"user": "ann", "client_secret": "§"#]),
    ("form", &["user=ann&password=§&x=1", "access%5Ftoken=§", "user[password]=§&a=1"]),
    (
        "header",
        &[
            "Authorization: Token §\r\nHost: h",
            "X-Api-Key: §",
            "Cookie: a=b; sid=§",
            "Set-Cookie: sid=§; Path=/",
        ],
    ),
    (
        "header of a cloud",
        &["Ocp-Apim-Subscription-Key: §", "x-functions-key: §", "X-Auth: §", "x-amz-security-token: §"],
    ),
    (
        "URL, query",
        &["GET /cb?code=1&access_token=§ HTTP/1.1", "https://h/a?sig=§&se=2026", "/cb#id_token=§&state=1"],
    ),
    ("URL, user", &["postgres://ann:§@db:5432/shop", "redis://:§@cache/0", "amqp://u:§/x@mq"]),
    (
        "URL in a URL",
        &["/login?next=https%3A%2F%2Fh%2Fcb%3Ftoken%3D§%26x%3D1", "/a?to=%252Fcb%253Ftoken%253D§"],
    ),
    (
        "log, key and value",
        &["INFO login user=ann password=§ took=3ms", "level=info token=\"§\" msg=x", "passcode: §"],
    ),
    ("log, prose", &["bad password: §", "using api key: §", "the secret => §"]),
    ("Debug of a struct", &[r#"Login { user: "ann", password: "§" }"#, r#"Auth { token: Some("§"), n: 1 }"#]),
    ("Debug of a newtype", &[r#"Login { password: Secret("§") }"#, r#"secret: Inner { a: "§", b: 2 }"#]),
    (
        "Debug of pairs",
        &[r#"[("user", "ann"), ("password", "§")]"#, r#"("x-api-key", "§")"#, r#"[(\"token\", \"§\")]"#],
    ),
    ("Debug of a map", &[r#"{"authorization": "Basic §", "host": "h"}"#, r#"{"token": ["§"]}"#]),
    ("pairs of JSON", &[r#"[["user","ann"],["authToken","§"]]"#]),
    ("YAML", &["db:\n  user: ann\n  password: §\n", "secret: '§'\n", "clientsecret: \"§\""]),
    (
        "YAML, block",
        &["password: |\n  §\nuser: ann", "tokens:\n  - §\n  - x\nuser: ann", "secret: >-\n    §\n"],
    ),
    ("YAML, environment", &["env:\n  - name: DB_PASSWORD\n    value: §\n"]),
    (
        "command line",
        &["tool --password § --verbose", "curl --access-token=§ h", r#"["tool", "--secret-key", "§"]"#],
    ),
    ("environment", &["PGPASSWORD=§ psql", "export AWS_SECRET_ACCESS_KEY=§", "DB_PASS=§"]),
    ("connection string", &["Server=h;User Id=ann;Password=§;Port=1", "AccountName=a;AccountKey=§;x=1"]),
    ("ini and TOML", &["[db]\npassword = §\nport = 1", "api_key = \"§\"", "secret='§'"]),
    (
        "XML",
        &[
            "<login><password>§</password></login>",
            r#"<add key="Password" value="§"/>"#,
            "<ns:token>§</ns:token>",
        ],
    ),
    ("HTML", &[r#"<input name="password" type="text" value="§">"#]),
    ("a line after its name", &["Password:\n§\nlogin ok", "Enter passphrase:\r\n§\r\n"]),
    (
        "one word",
        &[
            "accesstoken=§",
            "authtoken: §",
            "secretkey=§",
            "signing_key=§",
            "encryption_key: §",
            "session_id=§",
        ],
    ),
    ("GraphQL", &[r#"mutation { login(user: "ann", password: "§") { id } }"#]),
    ("SQL", &["ALTER USER ann SET password = '§'"]),
    ("multipart in a log", &["Content-Disposition: form-data; name=\"password\"; value=\"§\""]),
    ("source code", &["let password = \"§\";", "const apiKey = '§'", "password: \"§\".to_owned()"]),
];

/// More texts, one per line, under the name of their carrier. `⏎`, `→` and `␛` stand for newline, tab and escape.
const MORE: &str = include_str!("carriers.txt");

/// Secrets that are recognized by their shape alone.
const SHAPES: &[(&str, &[&str])] = &[
    ("card", &["4242424242424242", "4242 4242 4242 4242", "4242.4242.4242.4242", "4242/4242/4242/4242"]),
    (
        "card, other separators",
        &[
            "4242_4242_4242_4242",
            "4242\u{a0}4242\u{a0}4242\u{a0}4242",
            "4242–4242–4242–4242",
            "4242%204242%204242%204242",
        ],
    ),
    ("account", &["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300"]),
    ("e-mail", &["ann.lee+x@mail.example.org", "ann%40example.org"]),
    ("JWT", &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"]),
    ("AWS", &["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"]),
    ("Stripe", &["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "rk_test_4eC39HqLyjWDarjtT1zdp7dc"]),
    (
        "GitHub",
        &["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "github_pat_11ABCDEFG0abcdefghijkl_abcdefghijkl"],
    ),
    ("Slack", &["xoxb-123456789012-123456789012-abcdefABCDEF"]),
    ("Slack, more", &["xapp-1-A0123456789-0123456789012-abcdef", "xoxe.xoxp-1-Mi0yLTEyMzQ1Njc4OTAtYWJj"]),
    ("GitLab", &["glpat-aBcDeFgHiJkLmNoPqRsT", "gldt-aBcDeFgHiJkLmNoPqRsT"]),
    (
        "registries",
        &[
            "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
            "pypi-AgEIcHlwaS5vcmcCJGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6",
            "rubygems_0123456789abcdef0123456789abcdef0123456789abcdef",
            "dckr_pat_aBcDeFgHiJkLmNoPqRsTuVwXyZ0",
        ],
    ),
    (
        "Google",
        &[
            "AIzaSyA-0123456789abcdefghijklmnopqrstu",
            "GOCSPX-aBcDeFgHiJkLmNoPqRsTuVwXyZ01",
            "ya29.a0AfH6SMBx-0123456789abcdef",
        ],
    ),
    (
        "AI",
        &[
            "sk-ant-api03-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
            "sk-proj-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
            "sk-aBcDeFgHiJkLmNoPqRsTT3BlbkFJuVwXyZ0123456789",
            "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567",
        ],
    ),
    (
        "mail and chat",
        &[
            "SG.aBcDeFgHiJkLmNoPqRsTuV.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789aBcDeFg",
            "SK0123456789abcdef0123456789abcdef",
            "123456789:AAaBcDeFgHiJkLmNoPqRsTuVwXyZ0123456",
            "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        ],
    ),
    (
        "clouds",
        &[
            "dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "shpat_0123456789abcdef0123456789abcdef",
            "hvs.aBcDeFgHiJkLmNoPqRsTuVwXyZ01",
            "dapi0123456789abcdef0123456789abcdef",
            "glsa_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345_01234567",
        ],
    ),
    (
        "webhook without a scheme",
        &[
            "hooks.slack.com/services/T00000000/B00000000/aBcDeFgHiJkLmNoPqRsTuVwX",
            "discord.com/api/webhooks/123456789012345678/aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
        ],
    ),
    (
        "webhook",
        &[
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXX",
            "https://events.pagerduty.com/integration/e93facc04764012d7bfb002500d5d1a6/enqueue",
        ],
    ),
    (
        "key",
        &[
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nx\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----",
        ],
    ),
    ("Bearer and Basic", &["Bearer abcdefghijk", "Basic dXNlcjpwYXNz"]),
];

fn redactor() -> Redactor {
    Redactor::from_settings(&RedactionSettings::default()).unwrap()
}

#[test]
fn secrets_are_found_in_every_carrier() {
    let redactor = redactor();
    let (mut found, mut missed, mut table) = (0, Vec::new(), String::new());
    let more = MORE.split("#### ").skip(1).map(|kind| {
        let (carrier, texts) = kind.split_once('\n').unwrap();
        (
            carrier,
            texts
                .lines()
                .map(|text| text.replace('⏎', "\n").replace('→', "\t").replace('␛', "\u{1b}"))
                .collect(),
        )
    });
    let carriers = CARRIERS
        .iter()
        .map(|(carrier, texts)| (*carrier, texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()))
        .chain(more);
    let mut number = 0;
    for (carrier, texts) in carriers {
        number += 1;
        let before = (found, missed.len());
        for text in &texts {
            for secret in SECRETS {
                // Forms and URLs encode `&`.
                let secret = if carrier.starts_with("form")
                    || text.contains("://")
                    || text.contains('&')
                    || text.contains('%')
                {
                    secret.replace('&', "%26")
                } else {
                    (*secret).to_owned()
                };
                let text = text.replace('§', &secret);
                let clean = redactor.text(&text).into_owned();
                if clean.contains(&secret) {
                    missed.push(format!("{carrier}: {text}\n  -> {clean}"));
                } else {
                    found += 1;
                }
                assert_eq!(redactor.text(&clean), clean, "a second pass changes {text}");
            }
        }
        let _ = writeln!(
            table,
            "{carrier:<24} {:>3} found, {} missed",
            found - before.0,
            missed.len() - before.1
        );
    }
    for (shape, texts) in SHAPES {
        let before = (found, missed.len());
        for secret in *texts {
            for (before, after) in
                [("", ""), ("it was ", " here"), ("(", ")"), ("x=", "&y=1"), ("a\n", "\nb"), ("[\"", "\"]")]
            {
                let text = format!("{before}{secret}{after}");
                let clean = redactor.text(&text).into_owned();
                let tail = &secret[secret.char_indices().rev().nth(5).map_or(0, |(at, _)| at)..];
                if clean.contains(*secret)
                    || (clean.contains(tail) && !secret.contains("enqueue") && !secret.ends_with("-----"))
                {
                    missed.push(format!("{shape}: {text}\n  -> {clean}"));
                } else {
                    found += 1;
                }
                assert_eq!(redactor.text(&clean), clean, "a second pass changes {text}");
            }
        }
        let _ =
            writeln!(table, "{shape:<24} {:>3} found, {} missed", found - before.0, missed.len() - before.1);
    }
    println!(
        "{table}in {} carriers and shapes: {found} found, {} missed",
        number + SHAPES.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Texts without a secret, one per line.
const ORDINARY: &str = include_str!("ordinary.txt");

#[test]
fn ordinary_text_is_unchanged() {
    let redactor = redactor();
    let (mut lines, mut alarms) = (0, Vec::new());
    // Each line is tested alone and within its section, because a line may name the value of the next one.
    let sections: Vec<&str> = ORDINARY.split("\n#### ").collect();
    for section in &sections {
        let clean = redactor.text(section);
        let (before, after): (Vec<_>, Vec<_>) = (section.lines().collect(), clean.lines().collect());
        lines += before.len();
        if before.len() != after.len() {
            alarms.push(format!("in {}: {} lines became {}: {clean}", before[0], before.len(), after.len()));
        }
        for (before, after) in before.iter().zip(after) {
            if *before != after {
                alarms.push(format!("{before}\n  -> {after}"));
            }
        }
        for line in section.lines() {
            let clean = redactor.text(line);
            if clean != line {
                alarms.push(format!("alone: {line}\n  -> {clean}"));
            }
        }
    }
    println!("{lines} lines of ordinary text in {} kinds: {} false alarms", sections.len(), alarms.len());
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
}
