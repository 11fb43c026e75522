//! Which names are those of secrets.

use std::borrow::Cow;

use super::settings::Treatment;

/// What is secret unless someone says otherwise.
pub(super) const DEFAULT: &[&str] = &[
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api-key",
    "private-key",
    "access-key",
    "credential",
    "credentials",
    "jwt",
    "pwd",
];

/// What only looks like it.
pub(super) const OPEN: &[&str] = &["authorization-endpoint", "token-count", "token-endpoint", "token-type"];

/// A name of a secret may have as many bytes, and a name that is looked at does without allocation.
const SHORT: usize = 64;

/// The names of secrets, and those that only look like it.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// By their length; each without what is between its words, in lower case.
    by_length: Vec<Vec<(Box<[u8]>, Treatment)>>,
    /// Whether some are to be left alone.
    exceptions: bool,
}

impl Names {
    /// Adds a name, or changes what is done with it. `false` if it has neither letter nor digit.
    pub(super) fn set(&mut self, name: &str, treatment: Treatment) -> bool {
        let words = Words::of(name);
        let squashed = words.all();
        if squashed.is_empty() || squashed.len() > SHORT {
            return false;
        }
        if self.by_length.len() <= squashed.len() {
            self.by_length.resize_with(squashed.len() + 1, Vec::new);
        }
        let same_length = &mut self.by_length[squashed.len()];
        match same_length.iter_mut().find(|(known, _)| **known == *squashed) {
            Some((_, known)) => *known = treatment,
            None => same_length.push((squashed.into(), treatment)),
        }
        self.exceptions |= treatment == Treatment::Leave;
        true
    }

    /// Whether any are known.
    pub(super) fn any(&self) -> bool {
        !self.by_length.is_empty()
    }

    fn get(&self, squashed: &[u8]) -> Option<Treatment> {
        let same_length = self.by_length.get(squashed.len())?;
        same_length.iter().find_map(|(known, treatment)| (**known == *squashed).then_some(*treatment))
    }

    /// What is done with what goes by `name`.
    ///
    /// It is secret if words of it that stand together are a name of a secret, unless they lie within words that
    /// are a name to be left alone. The longest such name decides, of equals the marker.
    pub(super) fn treatment(&self, name: &str) -> Treatment {
        if self.by_length.is_empty() {
            return Treatment::Leave;
        }
        let words = Words::of(name);
        let mut found = Treatment::Leave;
        let mut longest = 0;
        words.each_window(self.by_length.len() - 1, |window, range| {
            if let Some(treatment @ (Treatment::Mask | Treatment::Hash)) = self.get(window)
                && (window.len() > longest || (window.len() == longest && treatment == Treatment::Mask))
                && !(self.exceptions && self.excepted(&words, range))
            {
                longest = window.len();
                found = treatment;
            }
        });
        found
    }

    fn excepted(&self, words: &Words, (from, to): (usize, usize)) -> bool {
        let mut excepted = false;
        words.each_window(self.by_length.len() - 1, |window, (first, last)| {
            excepted |= first <= from && to <= last && self.get(window) == Some(Treatment::Leave);
        });
        excepted
    }
}

/// The words of a name, in lower case and without what stands between them.
///
/// `X-Auth-Token`, `x_auth_token`, `xAuthToken` and `XAuthTOKEN` are the same.
struct Words {
    short: [u8; SHORT],
    length: usize,
    /// A bit for each byte that begins a word.
    starts: u64,
    /// Instead of them, where letters are not ASCII or there are too many: allocated, and rare.
    long: Option<(Vec<u8>, Vec<usize>)>,
}

impl Words {
    fn of(name: &str) -> Self {
        let mut words = Self { short: [0; SHORT], length: 0, starts: 0, long: None };
        let name = if name.contains('%') { Cow::Owned(decoded(name)) } else { Cow::Borrowed(name) };
        if !name.is_ascii() || name.len() > SHORT {
            words.long = Some(long(&name));
            return words;
        }
        let bytes = name.as_bytes();
        let mut before = Kind::Other;
        for (at, byte) in bytes.iter().enumerate() {
            let kind = Kind::of(char::from(*byte));
            if kind != Kind::Other {
                let next = bytes.get(at + 1).map_or(Kind::Other, |next| Kind::of(char::from(*next)));
                if begins(before, kind, next) {
                    words.starts |= 1 << words.length;
                }
                words.short[words.length] = byte.to_ascii_lowercase();
                words.length += 1;
            }
            before = kind;
        }
        words
    }

    /// All of it in one word.
    fn all(&self) -> &[u8] {
        self.long.as_ref().map_or(&self.short[..self.length], |(bytes, _)| bytes)
    }

    /// Calls `each` with every run of whole words that is at most `longest` bytes long, and with its place.
    fn each_window(&self, longest: usize, mut each: impl FnMut(&[u8], (usize, usize))) {
        let bytes = self.all();
        if let Some((_, starts)) = &self.long {
            for (place, from) in starts.iter().enumerate() {
                let ends = starts[place + 1..].iter().copied().chain([bytes.len()]);
                for to in ends.take_while(|to| to - from <= longest) {
                    each(&bytes[*from..to], (*from, to));
                }
            }
            return;
        }
        let mut starts = self.starts;
        while starts != 0 {
            let from = starts.trailing_zeros() as usize;
            starts &= starts - 1;
            let mut ends = starts;
            loop {
                let to = if ends == 0 { bytes.len() } else { ends.trailing_zeros() as usize };
                if to - from > longest {
                    break;
                }
                each(&bytes[from..to], (from, to));
                if ends == 0 {
                    break;
                }
                ends &= ends - 1;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' => Self::Lower,
            'A'..='Z' => Self::Upper,
            '0'..='9' => Self::Digit,
            c if c.is_ascii() => Self::Other,
            c if c.is_uppercase() => Self::Upper,
            c if c.is_alphabetic() => Self::Lower,
            c if c.is_numeric() => Self::Digit,
            _ => Self::Other,
        }
    }
}

/// Whether a word begins with a character of this kind: in `apiKey` with `K`, in `HTTPToken` with `T`.
fn begins(before: Kind, kind: Kind, next: Kind) -> bool {
    match (before, kind) {
        (Kind::Other, _) => true,
        (Kind::Lower, Kind::Upper) => true,
        (Kind::Upper, Kind::Upper) => next == Kind::Lower,
        (Kind::Digit, kind) => kind != Kind::Digit,
        (_, Kind::Digit) => true,
        _ => false,
    }
}

#[cold]
fn long(name: &str) -> (Vec<u8>, Vec<usize>) {
    let (mut text, mut starts) = (String::new(), Vec::new());
    let mut before = Kind::Other;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = Kind::of(c);
        if kind != Kind::Other {
            if begins(before, kind, chars.peek().map_or(Kind::Other, |next| Kind::of(*next))) {
                starts.push(text.len());
            }
            text.extend(c.to_lowercase());
        }
        before = kind;
    }
    (text.into_bytes(), starts)
}

/// A name of a query as it was meant; `%5F` hides nothing.
fn decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| name.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        for name in DEFAULT.iter().chain(&["Pin Code", "пароль"]) {
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
            "HTTPToken",
            "token2",
            "oauth2Token",
            "AWSAccessKeyId",
            "userPassword",
            "DB_PASSWORD",
            "pin_code",
            "pinCode",
            "secret",
            "мой_Пароль",
            "größe_token",
        ] {
            assert_eq!(names.treatment(secret), Treatment::Mask, "{secret}");
        }
        for open in [
            "max_tokens",
            "author",
            "idempotency-key",
            "pin",
            "",
            "content-type",
            "cookies_accepted",
            "tokenizer",
            "größe",
            "_",
            "%",
        ] {
            assert_eq!(names.treatment(open), Treatment::Leave, "{open}");
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
            assert_eq!(names.treatment(name), treatment, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_compared_as_a_short_one_is() {
        let names = names();
        let long = "x_".repeat(200);
        assert_eq!(names.treatment(&format!("{long}token")), Treatment::Mask);
        assert_eq!(names.treatment(&format!("token_{long}")), Treatment::Mask);
        assert_eq!(names.treatment(&format!("{long}tokens")), Treatment::Leave);
    }
}
