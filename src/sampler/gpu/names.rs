//! The names of GPUs while this process runs.
//!
//! The driver numbers the GPUs that it finds. When one is lost, the numbers of the others may change at the next start of
//! the driver. So a name belongs to a card with a UUID, and not to a number.

use std::sync::Arc;

/// The maximum number of cards whose names are kept.
const MOST: usize = crate::signal::capacity::GPUS;

/// The name and the UUID of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) parent: Option<Arc<str>>,
}

/// The cards that were seen, each with its last number.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(u32, Identity)>);

impl Known {
    /// The card with this UUID, which has the number `index` now. It gets a name if it is new.
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

    /// The card at the number `index` that does not answer: the one that had this number last, or the only one that is
    /// missing, unless it is one of those that answer. Otherwise it is only known by its number.
    pub(super) fn silent(&self, index: u32, answers: impl Fn(&Identity) -> bool) -> Identity {
        let missing = || self.0.iter().filter(|(_, known)| !answers(known));
        let only = || Some(missing().next()?).filter(|_| missing().count() == 1);
        let card = missing().find(|(at, _)| *at == index).or_else(only);
        card.map(|(_, known)| known.clone()).unwrap_or_else(|| {
            let name = self.free(index);
            Identity { id: Arc::clone(&name), name, ..Identity::default() }
        })
    }

    /// The name with this number, or with the next number that no card has.
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
    fn p41_a_card_keeps_its_name_when_the_numbers_change() {
        let mut known = Known::default();
        let name = |identity: Identity| (identity.name.to_string(), identity.id.to_string());
        let pair = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        for (index, id) in (0..).zip(["A", "B", "C"]) {
            assert_eq!(name(known.card(index, id, "m")).0, format!("gpu/{index}"));
        }
        // A is lost, and the numbers of the others change.
        assert_eq!(name(known.card(0, "B", "")), pair("gpu/1", "B"));
        assert_eq!(name(known.card(1, "C", "")), pair("gpu/2", "C"));
        assert_eq!(&*known.card(1, "C", "").model, "m");
        // The last number does not answer. That is A and not C, which had the number.
        let answers = |identity: &Identity| ["B", "C"].contains(&&*identity.id);
        assert_eq!(name(known.silent(2, answers)), pair("gpu/0", "A"));
        // A new card in its slot gets another name.
        assert_eq!(name(known.card(2, "D", "m")), pair("gpu/3", "D"));
        assert_eq!(name(known.card(2, "A", "m")), pair("gpu/0", "A"));
        // If two are missing, it is the one that had the number last. If none is missing, only the number is known.
        assert_eq!(name(known.silent(1, |_| false)), pair("gpu/2", "C"));
        assert_eq!(name(known.silent(7, |_| true)), pair("gpu/7", "gpu/7"));
        assert_eq!(name(known.silent(1, |_| true)), pair("gpu/4", "gpu/4"));
        (0..3 * MOST).for_each(|card| _ = known.card(0, &card.to_string(), ""));
        assert!(known.0.len() <= MOST);
    }
}
