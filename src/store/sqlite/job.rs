//! What the writer is asked to do.

use tokio::sync::oneshot;

use super::change::Change;
use crate::store::StoreError;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A part of a transaction, and the one who waits for it.
pub(super) trait Job: Send {
    /// About how many letters it touches.
    fn weight(&self) -> usize;

    /// Whether it must be on the disk before anybody hears of it.
    fn is_durable(&self) -> bool;

    /// Whether it makes the file grow: it does without the reserve.
    fn grows(&self) -> bool;

    /// Does it. It may be done again, when the transaction failed for another's fault.
    fn run(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()>;

    /// Tells how it ended, after the commit.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

pub(super) struct Task<T, F> {
    work: F,
    weight: usize,
    durable: bool,
    /// Nobody needs it once the one who asked has gone.
    optional: bool,
    grows: bool,
    done: Option<T>,
    reply: Reply<T>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    pub(super) fn new(weight: usize, work: F, reply: Reply<T>) -> Self {
        Self { work, weight, durable: true, optional: false, grows: false, done: None, reply }
    }

    /// A crash of the machine may undo it.
    pub(super) fn fleeting(mut self) -> Self {
        self.durable = false;
        self
    }

    /// It makes the file grow.
    pub(super) fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    /// It is left out if nobody waits for it any more.
    pub(super) fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn is_durable(&self) -> bool {
        self.durable
    }

    fn grows(&self) -> bool {
        self.grows
    }

    fn run(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()> {
        if !(self.optional && self.reply.is_closed()) {
            self.done = Some((self.work)(change)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        // Whoever asked may have gone.
        match (end, self.done) {
            (Ok(()), Some(done)) => drop(self.reply.send(Ok(done))),
            (Err(error), _) => drop(self.reply.send(Err(error))),
            (Ok(()), None) => {}
        }
    }
}
