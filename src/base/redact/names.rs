//! Looks up whether a name is that of a secret.

use super::defaults::{DESCRIBES, ENDINGS, LAST, OPEN, SECRET, SHORTEST_ENDING, WHOLE};
use super::rule::{Form, Rule};
use super::steps::count;
use super::treatment::Treatment;
use super::words::{SHORT, Words};

/// Where in a longer name a name matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// At the end of the longer name.
    Last,
    /// Only as the whole name.
    Whole,
}

/// A known name.
#[derive(Clone, Copy, Debug)]
struct Known {
    rule: Rule,
    place: Place,
    /// Whether it is a default name.
    default: bool,
}

/// The names of secrets, and the names to leave alone: a tree of their bytes, in lower case and without separators.
#[derive(Clone, Debug)]
pub(super) struct Names {
    nodes: Vec<Node>,
    known: Vec<Known>,
    /// The node of each first byte; 0 if there is none.
    first: Box<[u16; 256]>,
    /// The length of the shortest name.
    shortest: usize,
    /// Whether there are names to leave alone.
    exceptions: bool,
}

/// A byte of a name. Refers to other nodes and to names by their place; 0 if there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    byte: u8,
    /// The node of the next alternative byte in the same place.
    other: u16,
    /// The node of the next byte.
    next: u16,
    /// The place of the name that ends here, plus one.
    known: u16,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            // Node 0 stands for none.
            nodes: vec![Node::default()],
            known: Vec::new(),
            first: Box::new([0; 256]),
            shortest: usize::MAX,
            exceptions: false,
        }
    }
}

impl Names {
    /// Adds a name, or changes its treatment. Returns `false` if the name has no letters or digits, or too many.
    pub(super) fn set(&mut self, name: &str, treatment: Treatment) -> bool {
        let rule = Rule { treatment, form: Form::Any, ordinary: false };
        self.insert(name, Known { rule, place: Place::Anywhere, default: false })
    }

    /// Adds a whole name whose values have a form.
    pub(super) fn set_whole(&mut self, name: &str, treatment: Treatment, form: Form) {
        let rule = Rule { treatment, form, ordinary: true };
        self.insert(name, Known { rule, place: Place::Whole, default: true });
    }

    /// Adds the default names.
    pub(super) fn add_defaults(&mut self) {
        SECRET.iter().for_each(|name| self.set_default(name, Form::Any, Place::Anywhere));
        LAST.iter().for_each(|(name, form)| self.set_default(name, *form, Place::Last));
        WHOLE.iter().for_each(|(name, form)| self.set_default(name, *form, Place::Whole));
    }

    fn set_default(&mut self, name: &str, form: Form, place: Place) {
        let rule = Rule { treatment: Treatment::Mask, form, ordinary: form != Form::Any };
        self.insert(name, Known { rule, place, default: true });
    }

    fn insert(&mut self, name: &str, known: Known) -> bool {
        let words = Words::of(name.as_bytes());
        let squashed = words.all();
        let room = usize::from(u16::MAX) - self.nodes.len().max(self.known.len());
        let Some((first, rest)) = squashed.split_first() else { return false };
        if squashed.len() > SHORT.min(room.saturating_sub(1)) {
            return false;
        }
        let mut at = self.first[usize::from(*first)];
        if at == 0 {
            at = self.node(*first);
            self.first[usize::from(*first)] = at;
        }
        for byte in rest {
            let next = match self.child(at, *byte) {
                0 => {
                    let new = self.node(*byte);
                    self.nodes[usize::from(new)].other = self.nodes[usize::from(at)].next;
                    self.nodes[usize::from(at)].next = new;
                    new
                }
                next => next,
            };
            at = next;
        }
        self.known.push(known);
        self.nodes[usize::from(at)].known = self.known.len() as u16;
        self.shortest = self.shortest.min(squashed.len());
        self.exceptions |= known.rule.treatment == Treatment::Leave;
        true
    }

    fn node(&mut self, byte: u8) -> u16 {
        self.nodes.push(Node { byte, ..Node::default() });
        (self.nodes.len() - 1) as u16
    }

    /// The node of `byte` after `at`.
    #[inline]
    fn child(&self, at: u16, byte: u8) -> u16 {
        let mut child = self.nodes[usize::from(at)].next;
        while child != 0 && self.nodes[usize::from(child)].byte != byte {
            child = self.nodes[usize::from(child)].other;
        }
        child
    }

    /// Whether there are any names.
    pub(super) fn any(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Calls `each` with every known name that begins at `from` and ends at the end of a word, and with its end.
    #[inline]
    fn walk(&self, words: &Words, from: usize, mut each: impl FnMut(&Known, usize)) {
        let bytes = words.all();
        let mut at = from + 1;
        let mut node = self.first[usize::from(bytes[from])];
        while node != 0 {
            let here = self.nodes[usize::from(node)];
            if here.known != 0 && words.is_edge(at) {
                each(&self.known[usize::from(here.known) - 1], at);
            }
            let Some(byte) = bytes.get(at) else { break };
            node = self.child(node, *byte);
            at += 1;
        }
        count(at - from);
    }

    /// The rule for values named `name`.
    ///
    /// `name` is the name of a secret if some of its adjacent words are, unless they are part of a name to leave alone. The
    /// longest match decides; of equally long ones, one that is masked.
    pub(super) fn rule(&self, name: &[u8]) -> Rule {
        if name.len() < self.shortest {
            return Rule::LEAVE;
        }
        let words = Words::of(name);
        let length = words.all().len();
        let (mut found, mut longest, mut left) = (None, 0, 0);
        let mut look = |from: usize| {
            if self.first[usize::from(words.all()[from])] == 0 {
                return;
            }
            if self.exceptions {
                self.walk(&words, from, |known, to| {
                    if known.rule.treatment == Treatment::Leave {
                        left = left.max(to);
                    }
                });
            }
            self.walk(&words, from, |known, to| {
                let mask = known.rule.treatment == Treatment::Mask;
                if known.rule.treatment != Treatment::Leave
                    && to > left
                    && match known.place {
                        Place::Anywhere => true,
                        Place::Last => to == length,
                        Place::Whole => from == 0 && to == length,
                    }
                    && (to - from > longest || (to - from == longest && mask))
                {
                    longest = to - from;
                    found = Some((*known, to));
                }
            });
        };
        let mut next = words.start_from(0);
        while let Some(from) = next {
            next = words.start_from(from + 1);
            look(from);
            // `dbpassword` is one word.
            if let Some(from) = ending(words.all(), from, next.unwrap_or(length)) {
                look(from);
            }
        }
        match found {
            // The default names exclude names that describe a secret, such as `token_type`.
            Some((known, to)) if known.default && to < length => {
                let (start, last) = words.last();
                if start >= to && DESCRIBES.binary_search(&last).is_ok() { Rule::LEAVE } else { known.rule }
            }
            Some((known, _)) if known.default && OPEN.contains(&words.all()) => Rule::LEAVE,
            Some((known, _)) => known.rule,
            None => Rule::LEAVE,
        }
    }
}

/// The start of the name of a secret at the end of the word `from..to`, as in `dbpassword` and `JSESSIONID`.
#[inline]
fn ending(word: &[u8], from: usize, to: usize) -> Option<usize> {
    let word = &word[from..to];
    if !matches!(word.last(), Some(b'd' | b'e' | b'n' | b't' | b'y')) || word.len() <= SHORTEST_ENDING {
        return None;
    }
    count(word.len());
    let length = ENDINGS.iter().find(|ending| word.ends_with(ending))?.len();
    (length < word.len()).then(|| to - length)
}
