//! A list of those that live, which keeps nobody alive.

use std::sync::{Arc, Weak};

use crate::sync::Mutex;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Roll<T: ?Sized>(Mutex<Vec<Weak<T>>>);

impl<T: ?Sized> Roll<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn add(&self, member: Weak<T>) {
        let mut members = self.0.lock();
        // Room for the living only: a process that makes and drops handles must not grow.
        if members.len() == members.capacity() {
            members.retain(|member| member.strong_count() > 0);
        }
        members.push(member);
    }

    /// Those of the moment, oldest first, outside the lock: one of them may be dropped, or another added, meanwhile.
    pub(crate) fn living(&self) -> Vec<Arc<T>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_come_and_go_leave_nothing_behind() {
        let roll = Roll::new();
        let first = Arc::new(0);
        roll.add(Arc::downgrade(&first));
        (1..10_000).for_each(|n| roll.add(Arc::downgrade(&Arc::new(n))));
        assert_eq!(roll.living(), [first]);
        assert!(roll.0.lock().len() < 5_000);
    }
}
