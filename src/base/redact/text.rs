//! Searches one text for secrets, and replaces them.

use std::ops::Range;

use super::marker::MARKER;
use super::rules::Rules;
use super::scan::{ARGUMENT, AT, DIGITS, ESCAPE, KEY, PAIR, QUOTED, SCHEME, SIGN, TOKEN, Traits};
use super::search::{Evidence, Finding, Format, Search};
use super::steps::count;
use super::treatment::Treatment;
use super::{credentials, emails, escapes, json, numbers, tokens, urls};

/// The maximum depth of escaped texts within escaped texts, such as a URL in a parameter of a URL.
const ESCAPES: u8 = 2;

/// The maximum number of searches of one text. It is searched again after secrets were replaced in it.
const MOST: usize = 4;

impl Rules {
    /// `text` without its secrets; `None` if it has none. Calls `found` with the name or the shape of each.
    #[inline]
    pub(super) fn clean(&self, text: &[u8], format: Format, found: &mut dyn FnMut(&str)) -> Option<Vec<u8>> {
        let traits = Traits::of(text);
        if !traits.any() && !self.any_patterns() {
            return None;
        }
        self.search(text, format, traits, found)
    }

    #[inline(never)]
    fn search(
        &self,
        text: &[u8],
        format: Format,
        traits: Traits,
        found: &mut dyn FnMut(&str),
    ) -> Option<Vec<u8>> {
        let mut clean = self.once(text, format, traits, found)?;
        // A secret may have concealed another one, such as a number next to an address.
        for _ in 1..MOST {
            match self.once(&clean, format, Traits::of(&clean), found) {
                Some(cleaner) => clean = cleaner,
                None => break,
            }
        }
        Some(clean)
    }

    fn once(
        &self,
        text: &[u8],
        format: Format,
        traits: Traits,
        found: &mut dyn FnMut(&str),
    ) -> Option<Vec<u8>> {
        let mut findings = Search::new(self, text, traits).all(format);
        if findings.is_empty() {
            return None;
        }
        // They are a few sorted runs, so sorting is cheap. Of two that begin together, the longer one comes first; of equally
        // long ones, the one that was found first.
        findings.sort_by(|a, b| (a.place.start, b.place.end).cmp(&(b.place.start, a.place.end)));
        let mut out = Vec::with_capacity(text.len() + MARKER.len());
        let mut done = 0;
        let mut findings = findings.into_iter().peekable();
        while let Some(Finding { mut place, mut treatment, evidence, mut quoted, mut decoded }) =
            findings.next()
        {
            while let Some(next) = findings.next_if(|next| next.place.start < place.end) {
                if next.place.end > place.end {
                    place.end = next.place.end;
                    (treatment, quoted, decoded) = (Treatment::Mask, quoted && next.quoted, None);
                }
            }
            match &evidence {
                Evidence::Shape(word) => found(word),
                Evidence::Named(name) => found(&String::from_utf8_lossy(&text[name.clone()])),
                Evidence::Inner(name) => found(&String::from_utf8_lossy(name)),
            }
            out.extend(&text[done..place.start]);
            let instead = self.replacement(treatment, decoded.as_deref().unwrap_or(&text[place.clone()]));
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

impl Search<'_> {
    fn all(mut self, format: Format) -> Vec<Finding> {
        match format {
            Format::Text => self.text(),
            Format::Query => {
                self.form();
                self.text();
            }
            // Invalid or truncated JSON is searched as text too.
            Format::Json => {
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
        // In a list, each argument has its own quotes.
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
            && self.nested_escapes < ESCAPES
            && let Some(decoded) = escapes::decode_any(bytes)
        {
            self.nested_escapes += 1;
            self.within(&decoded.text, Format::Text, |place| decoded.place(place));
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

    /// Searches `text`, which is a decoded part of this text. `place` returns the place of each of its bytes in this text,
    /// and of its end.
    pub(super) fn within(&mut self, text: &[u8], format: Format, place: impl Fn(usize) -> Option<usize>) {
        count(text.len());
        let traits = Traits::of(text);
        if !traits.any() {
            return;
        }
        let (depth, nested_escapes) = (self.depth + 1, self.nested_escapes);
        for finding in (Search { depth, nested_escapes, ..Search::new(self.rules, text, traits) }).all(format)
        {
            let Range { start, end } = finding.place;
            let (Some(from), Some(to)) = (place(start), place(end)) else { continue };
            let evidence = match finding.evidence {
                Evidence::Named(name) => Evidence::Inner(text[name].into()),
                evidence => evidence,
            };
            let decoded = match finding.treatment {
                Treatment::Hash => Some(finding.decoded.unwrap_or_else(|| text[start..end].into())),
                _ => None,
            };
            self.add(Finding {
                place: from..to,
                treatment: finding.treatment,
                evidence,
                quoted: false,
                decoded,
            });
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
