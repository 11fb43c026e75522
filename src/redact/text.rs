//! All that is found in one text, and the text without it.

use std::ops::Range;

use super::keyed::is_hash;
use super::pairs::{self, Sign};
use super::redactor::Rules;
use super::scan::Traits;
use super::settings::Treatment;
use super::{MARKER, cards, credentials, emails, urls};

/// A secret, what is done with it, and what gave it away: a name, or the word for a shape.
#[derive(Debug)]
struct Finding<'a> {
    place: Range<usize>,
    treatment: Treatment,
    what: &'a str,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Anything.
    Text,
    /// `name=value` pairs with `&` between them, as in the query of a URL or a form.
    Query,
}

impl Rules {
    /// `text` without secrets, or `None` if there are none in it; `found` hears of each.
    #[inline]
    pub(super) fn clean(&self, text: &str, sort: Sort, found: &mut dyn FnMut(&str)) -> Option<String> {
        let traits = Traits::of(text.as_bytes());
        if !traits.any() && !self.any_patterns() {
            return None;
        }
        self.search(text, sort, traits, found)
    }

    #[inline(never)]
    fn search(&self, text: &str, sort: Sort, traits: Traits, found: &mut dyn FnMut(&str)) -> Option<String> {
        let mut findings = Vec::new();
        if sort == Sort::Query {
            self.in_form(text, &mut findings);
        }
        self.find(text, traits, &mut findings);
        if findings.is_empty() {
            return None;
        }
        // Of two that begin together the longer one goes first, of equals the one found first.
        findings.sort_by(|a, b| (a.place.start, b.place.end).cmp(&(b.place.start, a.place.end)));
        let mut out = String::with_capacity(text.len() + MARKER.len());
        let mut done = 0;
        let mut findings = findings.into_iter().peekable();
        while let Some(Finding { mut place, mut treatment, what }) = findings.next() {
            while let Some(next) = findings.next_if(|next| next.place.start < place.end) {
                if next.place.end > place.end {
                    place.end = next.place.end;
                    treatment = Treatment::Mask;
                }
            }
            found(what);
            out.push_str(&text[done..place.start]);
            out.push_str(&self.replacement(treatment, &text[place.clone()]));
            done = place.end;
        }
        out.push_str(&text[done..]);
        Some(out)
    }

    fn any_patterns(&self) -> bool {
        #[cfg(feature = "telemetry")]
        return !self.patterns.is_empty();
        #[cfg(not(feature = "telemetry"))]
        false
    }

    fn find<'a>(&self, text: &'a str, traits: Traits, findings: &mut Vec<Finding<'a>>) {
        if traits.sign && self.signs {
            self.at_signs(text, traits.at, findings);
        }
        let mut all = |treatment, what, next: &dyn Fn(usize) -> Option<Range<usize>>| {
            let mut from = 0;
            while let Some(place) = next(from) {
                from = place.end;
                add(text, findings, Finding { place, treatment, what });
            }
        };
        if traits.scheme && self.credentials != Treatment::Leave {
            all(self.credentials, "credentials", &|from| credentials::next(text, from));
        }
        if traits.at && self.emails != Treatment::Leave {
            all(self.emails, "e-mail", &|from| emails::next(text, from).map(|(start, end)| start..end));
        }
        if traits.digits && self.cards != Treatment::Leave {
            let text = text.as_bytes();
            all(self.cards, "card", &|from| cards::next(text, from).map(|(start, end)| start..end));
        }
        #[cfg(feature = "telemetry")]
        for (pattern, treatment) in &self.patterns {
            for groups in pattern.captures_iter(text) {
                if let Some(group) = groups.get_group(1).or_else(|| groups.get_group(0))
                    && !group.is_empty()
                {
                    let (place, treatment) = (group.range(), *treatment);
                    add(text, findings, Finding { place, treatment, what: "pattern" });
                }
            }
        }
    }

    /// Finds what stands after the name of a secret, and the user's part of URLs if there may be one.
    fn at_signs<'a>(&self, text: &'a str, users: bool, findings: &mut Vec<Finding<'a>>) {
        let mut from = 0;
        while let Some(sign) = pairs::next(text, from) {
            match sign {
                Sign::Nothing(after) => from = after,
                Sign::Url(sign) => {
                    from = sign + "://".len();
                    if users
                        && self.urls != Treatment::Leave
                        && let Some(place) = urls::user(text, sign)
                    {
                        from = place.end;
                        add(text, findings, Finding { place, treatment: self.urls, what: "user" });
                    }
                }
                Sign::Pair(pair) => {
                    from = pair.after;
                    let name = &text[pair.name.clone()];
                    let treatment = self.treatment(name, pair.in_query);
                    if treatment != Treatment::Leave
                        && let Some(place) = pair.value(text)
                    {
                        from = place.end;
                        add(text, findings, Finding { place, treatment, what: name });
                    }
                }
            }
        }
    }

    /// Finds whole values of a query or a form.
    fn in_form<'a>(&self, text: &'a str, findings: &mut Vec<Finding<'a>>) {
        let mut from = 0;
        for pair in text.split('&') {
            let end = from + pair.len();
            if let Some((name, value)) = pair.split_once('=')
                && !value.is_empty()
            {
                let treatment = self.treatment(name, true);
                if treatment != Treatment::Leave {
                    add(text, findings, Finding { place: end - value.len()..end, treatment, what: name });
                }
            }
            from = end + 1;
        }
    }
}

/// Takes in a finding, unless its value is gone already.
fn add<'a>(text: &str, findings: &mut Vec<Finding<'a>>, finding: Finding<'a>) {
    let secret = &text[finding.place.clone()];
    if secret != MARKER && !is_hash(secret) {
        findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use crate::redact::{RedactionSettings, Redactor, Treatment};

    fn redactor() -> Redactor {
        RedactionSettings::default().mask(["Pin Code"]).build().unwrap()
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
        let redactor = RedactionSettings::default()
            .hash(["customer", "email"])
            .pattern(r"c-\d+ \w+", Treatment::Mask)
            .pattern(r"order (\d+)", Treatment::Hash)
            .key("0123456789abcdef")
            .build()
            .unwrap();
        let hash = |value: &str| redactor.value("customer", value).into_owned();
        assert_eq!(redactor.text("customer=c-17 and"), "customer=[redacted]");
        assert_eq!(redactor.text("customer=c-17."), format!("customer={}", hash("c-17.")));
        assert_eq!(redactor.text("email=ann@b.io"), format!("email={}", hash("ann@b.io")));
        assert_eq!(redactor.text("of ann@b.io"), "of [redacted]");
        assert_eq!(redactor.text("order 66 came"), format!("order {} came", hash("66")));
    }
}
