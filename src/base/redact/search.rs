//! The state of the search of one text, and its findings.

use std::ops::Range;

use super::marker::is_replaced;
use super::rule::Rule;
use super::rules::Rules;
use super::scan::Traits;
use super::treatment::Treatment;

/// A secret, its treatment, and how it was recognized.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) place: Range<usize>,
    pub(super) treatment: Treatment,
    pub(super) evidence: Evidence,
    /// Whether the replacement needs quotes, because the secret was a JSON number or a list.
    pub(super) quoted: bool,
    /// The decoded secret, if it is escaped in the text and its treatment is a hash.
    pub(super) decoded: Option<Box<[u8]>>,
}

/// How a secret was recognized.
#[derive(Clone, Debug)]
pub(super) enum Evidence {
    /// By its shape, with the name of the shape.
    Shape(&'static str),
    /// By a name at this place.
    Named(Range<usize>),
    /// By a name in a decoded text.
    Inner(Box<[u8]>),
}

/// The format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Any text.
    Text,
    /// `name=value` pairs with `&` between them, as in the query of a URL or a form.
    Query,
    /// One JSON document, or several.
    Json,
}

/// The maximum depth of documents within documents, such as JSON in a JSON string.
const DEPTH: u8 = 3;

/// The nesting levels for which unclosed quotes are remembered. Quotes of deeper documents never close.
pub(super) const LEVELS: usize = 5;

/// The search of one text.
pub(super) struct Search<'a> {
    pub(super) rules: &'a Rules,
    pub(super) bytes: &'a [u8],
    pub(super) traits: Traits,
    pub(super) findings: Vec<Finding>,
    /// The number of documents, and of escaped texts, that contain this one.
    pub(super) depth: u8,
    pub(super) nested_escapes: u8,
    /// By nesting level, the place from which no closing quote of each kind follows.
    pub(super) unclosed: [[usize; 3]; LEVELS],
    /// Whether there is a field that would hold the values of a Kubernetes secret.
    pub(super) data: bool,
    /// Whether the end of an XML element may still follow.
    pub(super) elements: bool,
    /// The end of the last token that was searched for an `@`, and the last `@` in it.
    pub(super) token: (usize, Option<usize>),
}

impl<'a> Search<'a> {
    pub(super) fn new(rules: &'a Rules, bytes: &'a [u8], traits: Traits) -> Self {
        Self {
            rules,
            bytes,
            traits,
            findings: Vec::new(),
            depth: 0,
            nested_escapes: 0,
            unclosed: [[usize::MAX; 3]; LEVELS],
            data: false,
            elements: true,
            token: (0, None),
        }
    }

    /// The rule of `name` if it is the name of a secret.
    pub(super) fn is_secret(&self, name: &[u8]) -> Option<Rule> {
        let rule = self.rules.rule(name, false);
        (rule.treatment != Treatment::Leave).then_some(rule)
    }

    pub(super) fn shape(&mut self, place: Range<usize>, treatment: Treatment, what: &'static str) {
        self.add(Finding { place, treatment, evidence: Evidence::Shape(what), quoted: false, decoded: None });
    }

    /// Adds the value of the name at `name`.
    pub(super) fn named(&mut self, place: Range<usize>, rule: Rule, name: Range<usize>) {
        let evidence = Evidence::Named(name);
        self.add(Finding { place, treatment: rule.treatment, evidence, quoted: false, decoded: None });
    }

    /// Adds a finding, unless its value is empty or already replaced.
    pub(super) fn add(&mut self, finding: Finding) {
        let secret = &self.bytes[finding.place.clone()];
        if !secret.is_empty() && !is_replaced(secret) {
            self.findings.push(finding);
        }
    }

    /// Whether documents within this one are read.
    pub(super) fn reads_deeper(&self) -> bool {
        self.depth < DEPTH
    }
}
