//! Which names are those of secrets.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

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
    /// A bit for each first letter and length that a name has: most words go no further.
    filter: [u64; 4],
    /// A bit for each letter that a name begins with; all that is no letter has the last one.
    first: u32,
    /// Bytes of the shortest name.
    shortest: usize,
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
        let (word, bit) = filter(squashed);
        self.filter[word] |= bit;
        self.first |= letter(squashed[0]);
        self.shortest = if self.shortest == 0 { squashed.len() } else { self.shortest.min(squashed.len()) };
        self.exceptions |= treatment == Treatment::Leave;
        true
    }

    /// Whether any are known.
    pub(super) fn any(&self) -> bool {
        !self.by_length.is_empty()
    }

    #[inline]
    fn get(&self, squashed: &[u8]) -> Option<Treatment> {
        let (word, bit) = filter(squashed);
        if self.filter[word] & bit == 0 {
            return None;
        }
        let same_length = self.by_length.get(squashed.len())?;
        same_length.iter().find_map(|(known, treatment)| (**known == *squashed).then_some(*treatment))
    }

    /// What is done with what goes by `name`.
    ///
    /// It is secret if words of it that stand together are a name of a secret, unless they lie within words that
    /// are a name to be left alone. The longest such name decides, of equals the marker.
    pub(super) fn treatment(&self, name: &str) -> Treatment {
        if self.by_length.is_empty() || name.len() < self.shortest {
            return Treatment::Leave;
        }
        let words = Words::of(name);
        let mut found = Treatment::Leave;
        let mut longest = 0;
        words.each_window(self, |window, range| {
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
        words.each_window(self, |window, (first, last)| {
            excepted |= first <= from && to <= last && self.get(window) == Some(Treatment::Leave);
        });
        excepted
    }
}

#[inline]
fn letter(first: u8) -> u32 {
    1 << u32::from(first.wrapping_sub(b'a')).min(31)
}

/// Where the filter has its bit for a name.
#[inline]
fn filter(squashed: &[u8]) -> (usize, u64) {
    let first = squashed.first().map_or(0, |first| usize::from(*first));
    let place = first.wrapping_mul(37).wrapping_add(squashed.len());
    (place / 64 % 4, 1 << (place % 64))
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
        let (mut short, mut length, mut starts) = ([0; SHORT], 0, 0);
        let bytes = name.as_bytes();
        if bytes.len() <= SHORT {
            let (mut before, mut odd) = (OTHER, false);
            let mut kind = bytes.first().map_or(OTHER, |byte| KINDS[usize::from(*byte)]);
            for (at, byte) in bytes.iter().enumerate() {
                let next = bytes.get(at + 1).map_or(OTHER, |next| KINDS[usize::from(*next)]);
                let begins = kind != OTHER && begins(before, kind, next);
                odd |= kind == ODD;
                // Written over by the next one where it does not count.
                short[length % SHORT] = byte | (kind & UPPER);
                starts |= u64::from(begins) << (length % SHORT);
                length += usize::from(kind != OTHER);
                (before, kind) = (kind, next);
            }
            if !odd {
                return Self { short, length, starts, long: None };
            }
        }
        let name = if name.contains('%') { Cow::Owned(decoded(name)) } else { Cow::Borrowed(name) };
        Self { short, length: 0, starts: 0, long: Some(long(&name)) }
    }

    /// All of it in one word.
    fn all(&self) -> &[u8] {
        self.long.as_ref().map_or(&self.short[..self.length], |(bytes, _)| bytes)
    }

    /// Calls `each` with every run of whole words that may be one of `names`, and with its place.
    #[inline]
    fn each_window(&self, names: &Names, mut each: impl FnMut(&[u8], (usize, usize))) {
        let bytes = self.all();
        let longest = names.by_length.len() - 1;
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
            if names.first & letter(bytes[from]) == 0 {
                continue;
            }
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

/// The kinds of bytes. That of a capital letter is what makes it a small one.
const OTHER: u8 = 0;
const LOWER: u8 = 1;
const DIGIT: u8 = 2;
const UPPER: u8 = 0x20;
/// What the quick way cannot take: letters that are not ASCII, and `%`, which may stand for anything.
const ODD: u8 = 4;

const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b'%' | 0x80.. => ODD,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
};

/// Whether a word begins with a character of this kind: in `apiKey` with `K`, in `HTTPToken` with `T`.
#[inline]
fn begins(before: u8, kind: u8, next: u8) -> bool {
    (before != kind && !(before == UPPER && kind == LOWER))
        || (before == UPPER && kind == UPPER && next == LOWER)
}

fn kind(c: char) -> u8 {
    match c {
        '%' => OTHER,
        c if c.is_ascii() => KINDS[c as usize],
        c if c.is_uppercase() => UPPER,
        c if c.is_alphabetic() => LOWER,
        c if c.is_numeric() => DIGIT,
        _ => OTHER,
    }
}

#[cold]
fn long(name: &str) -> (Vec<u8>, Vec<usize>) {
    let (mut text, mut starts) = (String::new(), Vec::new());
    let mut before = OTHER;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let kind_of_c = kind(c);
        if kind_of_c != OTHER {
            if begins(before, kind_of_c, chars.peek().map_or(OTHER, |next| kind(*next))) {
                starts.push(text.len());
            }
            text.extend(c.to_lowercase());
        }
        before = kind_of_c;
    }
    (text.into_bytes(), starts)
}

/// A name of a query as it was meant; `%5F` hides nothing.
fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
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
