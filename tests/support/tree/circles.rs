//! Circles in what leads to what.

use std::collections::{BTreeMap, BTreeSet};

/// Groups of nodes that lead to each other in a circle, the largest first.
pub fn circles(edges: &BTreeSet<(String, String)>) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().insert(to);
    }
    let mut finder = Finder { next: &next, seen: BTreeMap::new(), open: Vec::new(), circles: Vec::new() };
    for node in next.keys() {
        if !finder.seen.contains_key(node) {
            finder.look(node);
        }
    }
    let mut circles = finder.circles;
    circles.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
    circles
}

/// Tarjan's search for strongly connected components.
struct Finder<'a> {
    next: &'a BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// By node, its number and the least number that it reaches; no number once its component is known.
    seen: BTreeMap<&'a str, (usize, Option<usize>)>,
    open: Vec<&'a str>,
    circles: Vec<BTreeSet<String>>,
}

impl<'a> Finder<'a> {
    fn look(&mut self, node: &'a str) -> usize {
        let own = self.seen.len();
        let mut least = own;
        self.seen.insert(node, (own, Some(own)));
        self.open.push(node);
        for &next in self.next.get(node).into_iter().flatten() {
            match self.seen.get(next) {
                None => least = least.min(self.look(next)),
                Some((number, Some(_))) => least = least.min(*number),
                Some((_, None)) => {}
            }
        }
        if least == own {
            let from = self.open.iter().position(|&open| open == node).expect("a node that is open");
            let members: Vec<_> = self.open.drain(from..).collect();
            for &member in &members {
                self.seen.get_mut(member).expect("a node that was seen").1 = None;
            }
            if members.len() > 1 {
                self.circles.push(members.into_iter().map(str::to_owned).collect());
            }
        }
        least
    }
}
