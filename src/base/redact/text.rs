//! All that is found in one text, and the text without it.

use std::ops::Range;

use super::keyed::is_hash;
use super::redactor::Rules;
use super::rule::Rule;
use super::scan::{ARGUMENT, AT, DIGITS, ESCAPE, KEY, PAIR, QUOTED, SCHEME, SIGN, TOKEN, Traits};
use super::settings::Treatment;
use super::steps::count;
use super::{MARKER, credentials, emails, json, numbers, tokens, urls, writings};

/// A secret, what is done with it, and what gave it away.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) place: Range<usize>,
    pub(super) treatment: Treatment,
    pub(super) what: What,
    /// Whether what stands in its place needs quotes: it was a number of JSON, or a list.
    pub(super) quoted: bool,
    /// The secret as it was meant, where the text has it in another writing and a hash is asked for.
    pub(super) meant: Option<Box<[u8]>>,
}

/// What gave a secret away.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The word for its shape.
    Shape(&'static str),
    /// A name that stands here.
    Named(Range<usize>),
    /// A name that stands nowhere in this writing.
    Inner(Box<[u8]>),
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Anything.
    Text,
    /// `name=value` pairs with `&` between them, as in the query of a URL or a form.
    Query,
    /// A document of JSON, or several.
    Json,
}

/// How many documents within documents are read: JSON in a string of JSON.
const DEPTH: u8 = 3;

/// How many writings within writings are read, as a URL in a parameter of a URL is.
const WRITINGS: u8 = 2;

/// How often a text is searched at most: again after secrets were hidden in it.
const MOST: usize = 4;

/// How deep documents lie within each other so that the ends of their quotes are still told apart.
pub(super) const LEVELS: usize = 5;

/// The search of one text.
pub(super) struct Search<'a> {
    pub(super) rules: &'a Rules,
    pub(super) bytes: &'a [u8],
    pub(super) traits: Traits,
    findings: Vec<Finding>,
    /// How many documents, and how many writings, this one lies in.
    depth: u8,
    writings: u8,
    /// From where on no quote of each kind ends anything, by how deep the documents lie within each other.
    pub(super) unclosed: [[usize; 3]; LEVELS],
    /// Whether there is a field that holds the values of a secret of Kubernetes, if this is one.
    pub(super) data: bool,
    /// Whether an element of XML may still end.
    pub(super) elements: bool,
    /// The end of the last token that was looked at for an `@`, and the last `@` in it.
    pub(super) token: (usize, Option<usize>),
}

impl Rules {
    /// `text` without secrets, or `None` if there are none in it; `found` hears of each.
    #[inline]
    pub(super) fn clean(&self, text: &[u8], sort: Sort, found: &mut dyn FnMut(&str)) -> Option<Vec<u8>> {
        let traits = Traits::of(text);
        if !traits.any() && !self.any_patterns() {
            return None;
        }
        self.search(text, sort, traits, found)
    }

    #[inline(never)]
    fn search(
        &self,
        text: &[u8],
        sort: Sort,
        traits: Traits,
        found: &mut dyn FnMut(&str),
    ) -> Option<Vec<u8>> {
        let mut clean = self.once(text, sort, traits, found)?;
        // What was hidden may have kept something else from being seen, as a number beside an address does.
        for _ in 1..MOST {
            match self.once(&clean, sort, Traits::of(&clean), found) {
                Some(cleaner) => clean = cleaner,
                None => break,
            }
        }
        Some(clean)
    }

    fn once(&self, text: &[u8], sort: Sort, traits: Traits, found: &mut dyn FnMut(&str)) -> Option<Vec<u8>> {
        let mut findings = Search::new(self, text, traits).all(sort);
        if findings.is_empty() {
            return None;
        }
        // They lie in a few rows that are sorted already. Of two that begin together the longer one goes first, of
        // equals the one found first.
        findings.sort_by(|a, b| (a.place.start, b.place.end).cmp(&(b.place.start, a.place.end)));
        let mut out = Vec::with_capacity(text.len() + MARKER.len());
        let mut done = 0;
        let mut findings = findings.into_iter().peekable();
        while let Some(Finding { mut place, mut treatment, what, mut quoted, mut meant }) = findings.next() {
            while let Some(next) = findings.next_if(|next| next.place.start < place.end) {
                if next.place.end > place.end {
                    place.end = next.place.end;
                    (treatment, quoted, meant) = (Treatment::Mask, quoted && next.quoted, None);
                }
            }
            match &what {
                What::Shape(word) => found(word),
                What::Named(name) => found(&String::from_utf8_lossy(&text[name.clone()])),
                What::Inner(name) => found(&String::from_utf8_lossy(name)),
            }
            out.extend(&text[done..place.start]);
            let instead = self.replacement(treatment, meant.as_deref().unwrap_or(&text[place.clone()]));
            if quoted {
                out.push(b'"');
            }
            out.extend(instead.as_bytes());
            if quoted {
                out.push(b'"');
            }
            done = place.end;
        }
        out.extend(&text[done..]);
        Some(out)
    }

    fn any_patterns(&self) -> bool {
        #[cfg(feature = "telemetry")]
        return !self.patterns.is_empty();
        #[cfg(not(feature = "telemetry"))]
        false
    }
}

impl<'a> Search<'a> {
    fn new(rules: &'a Rules, bytes: &'a [u8], traits: Traits) -> Self {
        Self {
            rules,
            bytes,
            traits,
            findings: Vec::new(),
            depth: 0,
            writings: 0,
            unclosed: [[usize::MAX; 3]; LEVELS],
            data: false,
            elements: true,
            token: (0, None),
        }
    }

    fn all(mut self, sort: Sort) -> Vec<Finding> {
        match sort {
            Sort::Text => self.text(),
            Sort::Query => {
                self.form();
                self.text();
            }
            // What is no JSON, or stops in the middle, is searched as text too.
            Sort::Json => {
                if json::read(&mut self) {
                    self.kubernetes();
                } else {
                    self.text();
                }
                #[cfg(feature = "telemetry")]
                self.patterns();
            }
        }
        self.findings
    }

    fn text(&mut self) {
        let (rules, bytes, traits) = (self.rules, self.bytes, self.traits);
        if rules.signs && traits.has(SIGN) {
            self.at_signs();
            if self.data {
                self.kubernetes();
            }
        }
        if rules.signs && traits.has(PAIR) {
            self.pairs_of_two();
        }
        // In a list an argument has quotes of its own.
        if rules.signs && traits.has(ARGUMENT | PAIR | QUOTED) {
            self.arguments();
        }
        if rules.signs && traits.has(QUOTED) {
            self.quoted();
        }
        if rules.credentials != Treatment::Leave {
            let mut add = |place| self.shape(place, rules.credentials, "credentials");
            if traits.has(SCHEME) {
                credentials::each(bytes, &mut add);
            }
            if traits.has(KEY) {
                tokens::each_key(bytes, &mut add);
            }
            if traits.has(TOKEN) {
                tokens::each(bytes, rules.hooks, &mut add);
            }
        }
        if traits.has(AT) && rules.urls != Treatment::Leave {
            urls::each_user(bytes, |place| self.shape(place, rules.urls, "user"));
        }
        if traits.has(AT) && rules.emails != Treatment::Leave {
            emails::each(bytes, |place| self.shape(place, rules.emails, "e-mail"));
        }
        if traits.has(DIGITS) && rules.cards != Treatment::Leave {
            numbers::each(bytes, |place, what| self.shape(place, rules.cards, what));
        }
        #[cfg(feature = "telemetry")]
        self.patterns();
        if traits.has(AT | ESCAPE)
            && self.writings < WRITINGS
            && let Some(meaning) = writings::of_any(bytes)
        {
            self.writings += 1;
            self.within(&meaning.text, Sort::Text, |place| meaning.place(place));
        }
    }

    #[cfg(feature = "telemetry")]
    fn patterns(&mut self) {
        let rules = self.rules;
        for (pattern, treatment) in &rules.patterns {
            for groups in pattern.captures_iter(self.bytes) {
                if let Some(group) = groups.get_group(1).or_else(|| groups.get_group(0))
                    && !group.is_empty()
                {
                    self.shape(group.range(), *treatment, "pattern");
                }
            }
        }
    }

    pub(super) fn shape(&mut self, place: Range<usize>, treatment: Treatment, what: &'static str) {
        self.add(Finding { place, treatment, what: What::Shape(what), quoted: false, meant: None });
    }

    /// Takes in what goes by the name that stands at `name`.
    pub(super) fn named(&mut self, place: Range<usize>, rule: Rule, name: Range<usize>) {
        let what = What::Named(name);
        self.add(Finding { place, treatment: rule.treatment, what, quoted: false, meant: None });
    }

    /// Takes in a finding, unless its value is gone already.
    pub(super) fn add(&mut self, finding: Finding) {
        let secret = &self.bytes[finding.place.clone()];
        if !secret.is_empty() && !is_gone(secret) {
            self.findings.push(finding);
        }
    }

    /// Whether writings within this one are read.
    pub(super) fn reads_deeper(&self) -> bool {
        self.depth < DEPTH
    }

    /// Searches `text`, which is what a part of this one means; `place` says where each of its bytes stands here, and
    /// where it ends.
    pub(super) fn within(&mut self, text: &[u8], sort: Sort, place: impl Fn(usize) -> Option<usize>) {
        count(text.len());
        let traits = Traits::of(text);
        if !traits.any() {
            return;
        }
        let (depth, writings) = (self.depth + 1, self.writings);
        for finding in (Search { depth, writings, ..Search::new(self.rules, text, traits) }).all(sort) {
            let Range { start, end } = finding.place;
            let (Some(from), Some(to)) = (place(start), place(end)) else { continue };
            let what = match finding.what {
                What::Named(name) => What::Inner(text[name].into()),
                what => what,
            };
            let meant = match finding.treatment {
                Treatment::Hash => Some(finding.meant.unwrap_or_else(|| text[start..end].into())),
                _ => None,
            };
            self.add(Finding { place: from..to, treatment: finding.treatment, what, quoted: false, meant });
        }
    }

    /// Finds whole values of a query or a form.
    fn form(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        for pair in bytes.split(|byte| *byte == b'&') {
            count(pair.len() + 1);
            let end = from + pair.len();
            if let Some(sign) = memchr::memchr(b'=', pair) {
                let (name, value) = (from..from + sign, from + sign + 1..end);
                let rule = self.rules.rule(&bytes[name.clone()], true);
                if rule.hides(&bytes[value.clone()]) {
                    self.named(value, rule, name);
                }
            }
            from = end + 1;
        }
    }
}

/// Whether a secret has been here: a marker or a hash.
pub(super) fn is_gone(secret: &[u8]) -> bool {
    secret == MARKER.as_bytes() || is_hash(secret)
}
