//! What GPUs are called, for as long as this process runs.
//!
//! The driver numbers the GPUs that it finds: when one is lost, the others may move up at its next start. So a name is
//! that of a card, by its UUID, and not of a number.

use std::sync::Arc;

/// Cards that are gone are remembered while there are no more than this many.
const MOST: usize = crate::signal::capacity::GPUS;

/// What a device is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) parent: Option<Arc<str>>,
}

/// The cards that were seen, with the number that each had last.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(u32, Identity)>);

impl Known {
    /// The card of this UUID at the number `index`, which has a name of its own from now on.
    pub(super) fn card(&mut self, index: u32, id: &str, model: &str) -> Identity {
        if let Some((at, known)) = self.0.iter_mut().find(|(_, known)| *known.id == *id) {
            *at = index;
            if known.model.is_empty() {
                known.model = model.into();
            }
            return known.clone();
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let identity = Identity { name: self.free(index), id: id.into(), model: model.into(), parent: None };
        self.0.push((index, identity.clone()));
        identity
    }

    /// The card that does not answer at the number `index`: the one that was there last, or the only one that is
    /// missing, unless it is among those that answer. Else nothing is known but the number.
    pub(super) fn silent(&self, index: u32, answers: impl Fn(&Identity) -> bool) -> Identity {
        let missing = || self.0.iter().filter(|(_, known)| !answers(known));
        let only = || Some(missing().next()?).filter(|_| missing().count() == 1);
        let card = missing().find(|(at, _)| *at == index).or_else(only);
        card.map(|(_, known)| known.clone()).unwrap_or_else(|| {
            let name = self.free(index);
            Identity { id: Arc::clone(&name), name, ..Identity::default() }
        })
    }

    /// The name of that number, or of the next one that no card has.
    fn free(&self, index: u32) -> Arc<str> {
        let mut number = index;
        loop {
            let name = format!("gpu/{number}");
            if self.0.iter().all(|(_, known)| *known.name != *name) {
                return name.into();
            }
            number = number.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p14_a_card_keeps_its_name_when_the_numbers_move() {
        let mut known = Known::default();
        let name = |identity: Identity| (identity.name.to_string(), identity.id.to_string());
        let pair = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        for (index, id) in (0..).zip(["A", "B", "C"]) {
            assert_eq!(name(known.card(index, id, "m")).0, format!("gpu/{index}"));
        }
        // A is lost, and the others move up.
        assert_eq!(name(known.card(0, "B", "")), pair("gpu/1", "B"));
        assert_eq!(name(known.card(1, "C", "")), pair("gpu/2", "C"));
        assert_eq!(&*known.card(1, "C", "").model, "m");
        // The last number answers nothing: that is A, and not C, which had it.
        let answers = |identity: &Identity| ["B", "C"].contains(&&*identity.id);
        assert_eq!(name(known.silent(2, answers)), pair("gpu/0", "A"));
        // A new card in its place is another one.
        assert_eq!(name(known.card(2, "D", "m")), pair("gpu/3", "D"));
        assert_eq!(name(known.card(2, "A", "m")), pair("gpu/0", "A"));
        // Of two that are missing, the one that was last there; of none, the number.
        assert_eq!(name(known.silent(1, |_| false)), pair("gpu/2", "C"));
        assert_eq!(name(known.silent(7, |_| true)), pair("gpu/7", "gpu/7"));
        assert_eq!(name(known.silent(1, |_| true)), pair("gpu/4", "gpu/4"));
        (0..3 * MOST).for_each(|card| _ = known.card(0, &card.to_string(), ""));
        assert!(known.0.len() <= MOST);
    }
}
