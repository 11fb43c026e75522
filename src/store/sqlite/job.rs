//! Jobs for the writer.

use tokio::sync::oneshot;

use super::change::Change;
use crate::store::StoreError;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A part of a transaction, and the caller that waits for it.
pub(super) trait Job: Send {
    /// About how many letters it touches.
    fn weight(&self) -> usize;

    /// Whether the commit must be on disk before the caller gets its answer.
    fn is_durable(&self) -> bool;

    /// Whether it makes the file grow. Such a job may not use the reserve.
    fn grows(&self) -> bool;

    /// Runs in a transaction. It runs again if the transaction failed because of another job.
    fn run(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()>;

    /// Answers the caller after the commit.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

pub(super) struct Task<T, F> {
    work: F,
    weight: usize,
    durable: bool,
    /// Whether it is skipped when its caller no longer waits.
    optional: bool,
    grows: bool,
    result: Option<T>,
    reply: Reply<T>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Change<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    pub(super) fn new(weight: usize, work: F, reply: Reply<T>) -> Self {
        Self { work, weight, durable: true, optional: false, grows: false, result: None, reply }
    }

    /// The task need not survive a crash of the machine.
    pub(super) fn not_durable(mut self) -> Self {
        self.durable = false;
        self
    }

    /// The task makes the file grow.
    pub(super) fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    /// The task is skipped when its caller no longer waits.
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
            self.result = Some((self.work)(change)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        // Sending fails if the caller no longer waits.
        match (end, self.result) {
            (Ok(()), Some(result)) => drop(self.reply.send(Ok(result))),
            (Err(error), _) => drop(self.reply.send(Err(error))),
            (Ok(()), None) => {}
        }
    }
}
