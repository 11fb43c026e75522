//! The state of the search of one text, and what it has found.

use std::ops::Range;

use super::marker::is_replaced;
use super::rule::Rule;
use super::rules::Rules;
use super::scan::Traits;
use super::treatment::Treatment;

/// A secret, what is done with it, and what gave it away.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) place: Range<usize>,
    pub(super) treatment: Treatment,
    pub(super) evidence: Evidence,
    /// Whether what stands in its place needs quotes: it was a number of JSON, or a list.
    pub(super) quoted: bool,
    /// The secret as it was decoded, where the text has it in another writing and a hash is asked for.
    pub(super) decoded: Option<Box<[u8]>>,
}

/// What gave a secret away.
#[derive(Clone, Debug)]
pub(super) enum Evidence {
    /// The word for its shape.
    Shape(&'static str),
    /// A name that stands here.
    Named(Range<usize>),
    /// A name that stands nowhere in this writing.
    Inner(Box<[u8]>),
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Anything.
    Text,
    /// `name=value` pairs with `&` between them, as in the query of a URL or a form.
    Query,
    /// A document of JSON, or several.
    Json,
}

/// How many documents within documents are read: JSON in a string of JSON.
const DEPTH: u8 = 3;

/// How deep documents lie within each other so that the ends of their quotes are still told apart.
pub(super) const LEVELS: usize = 5;

/// The search of one text.
pub(super) struct Search<'a> {
    pub(super) rules: &'a Rules,
    pub(super) bytes: &'a [u8],
    pub(super) traits: Traits,
    pub(super) findings: Vec<Finding>,
    /// How many documents, and how many writings, this one lies in.
    pub(super) depth: u8,
    pub(super) writings: u8,
    /// From where on no quote of each kind ends anything, by how deep the documents lie within each other.
    pub(super) unclosed: [[usize; 3]; LEVELS],
    /// Whether there is a field that holds the values of a secret of Kubernetes, if this is one.
    pub(super) data: bool,
    /// Whether an element of XML may still end.
    pub(super) elements: bool,
    /// The end of the last token that was looked at for an `@`, and the last `@` in it.
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
            writings: 0,
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

    /// Takes in what goes by the name that stands at `name`.
    pub(super) fn named(&mut self, place: Range<usize>, rule: Rule, name: Range<usize>) {
        let evidence = Evidence::Named(name);
        self.add(Finding { place, treatment: rule.treatment, evidence, quoted: false, decoded: None });
    }

    /// Takes in a finding, unless its value is gone already.
    pub(super) fn add(&mut self, finding: Finding) {
        let secret = &self.bytes[finding.place.clone()];
        if !secret.is_empty() && !is_replaced(secret) {
            self.findings.push(finding);
        }
    }

    /// Whether writings within this one are read.
    pub(super) fn reads_deeper(&self) -> bool {
        self.depth < DEPTH
    }
}
