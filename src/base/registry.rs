//! A registry of weak references. It does not keep its members alive.

use std::sync::{Arc, Weak};

use crate::base::sync::Mutex;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Registry<T: ?Sized>(Mutex<Vec<Weak<T>>>);

impl<T: ?Sized> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn add(&self, member: Weak<T>) {
        let mut members = self.0.lock();
        // Dropped members are removed before the list grows, so that it stays small in a process that often creates and drops
        // handles.
        if members.len() == members.capacity() {
            members.retain(|member| member.strong_count() > 0);
        }
        members.push(member);
    }

    /// The live members, oldest first. The lock is not held while they are used.
    pub(crate) fn living(&self) -> Vec<Arc<T>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_members_are_removed() {
        let registry = Registry::new();
        let first = Arc::new(0);
        registry.add(Arc::downgrade(&first));
        (1..10_000).for_each(|n| registry.add(Arc::downgrade(&Arc::new(n))));
        assert_eq!(registry.living(), [first]);
        assert!(registry.0.lock().len() < 5_000);
    }
}
