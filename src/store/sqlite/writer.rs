//! The thread that writes.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::{Depths, open, rows};
use crate::store::{Entry, Filter, LetterId, Limits, Put, StoreError, WhenFull};

/// The most commands in one commit: enough to hide the `fsync`, few enough not to keep the first one waiting.
const GROUP: usize = 256;

/// Free pages that are left in the file for the next letters.
const SPARE_PAGES: i64 = 256;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    Put { entry: Entry, limits: Limits, reply: Reply<Put> },
    Replace { entry: Entry, reply: Reply<bool> },
    Remove { queue: Arc<str>, id: LetterId, reply: Reply<bool> },
    Purge { queue: Arc<str>, filter: Filter, reply: Reply<u64> },
}

/// What came of one command, to be told after the commit.
enum Answer {
    Put(Put),
    Changed(bool),
    Count(u64),
}

struct Writer<'a> {
    path: &'a Path,
    connection: Connection,
    depths: Depths,
    /// Pages may have become free.
    untidy: bool,
}

/// Opens the file, tells how that went, and writes until every handle is gone.
pub(super) fn run(
    path: &Path,
    mut inbox: mpsc::Receiver<Command>,
    opened: oneshot::Sender<Result<(Connection, Depths), StoreError>>,
) {
    let depths = Depths::default();
    let opening = open::writer(path).and_then(|connection| {
        let reader = open::reader(path)?;
        let mut writer = Writer { path, connection, depths: Arc::clone(&depths), untidy: true };
        writer.publish_all().map_err(|error| open::explain(path, "read", error))?;
        Ok((writer, reader))
    });
    let mut writer = match opening {
        Ok((writer, reader)) => {
            if opened.send(Ok((reader, depths))).is_err() {
                return;
            }
            writer
        }
        Err(error) => {
            // Nobody may be waiting any more; then nobody needs to know.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = writer.next(&mut inbox) {
        group.push(first);
        while group.len() < GROUP
            && let Ok(next) = inbox.try_recv()
        {
            group.push(next);
        }
        writer.write(&mut group);
    }
}

impl Writer<'_> {
    /// The next command; gives free pages back to the disk while there is none.
    fn next(&mut self, inbox: &mut mpsc::Receiver<Command>) -> Option<Command> {
        while self.untidy {
            match inbox.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.untidy = self.tidy().unwrap_or(false),
            }
        }
        inbox.blocking_recv()
    }

    /// Gives some free pages back; `true` when there are more.
    fn tidy(&self) -> rusqlite::Result<bool> {
        let free: i64 = self.connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if free <= SPARE_PAGES {
            return Ok(false);
        }
        let pages = (free - SPARE_PAGES).min(1_024);
        // One row for each page: the statement must be run to its end.
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut freed = statement.query([])?;
        while freed.next()?.is_some() {}
        Ok(true)
    }

    /// Commits a group and answers each of its commands.
    fn write(&mut self, group: &mut Vec<Command>) {
        match self.commit(group) {
            Ok(answers) => {
                for (command, answer) in group.drain(..).zip(answers) {
                    command.answer(Ok(answer));
                }
            }
            // One command that cannot be done must not take the others with it.
            Err(error) if group.len() > 1 && is_its_own_fault(&error) => {
                for command in group.drain(..) {
                    self.write(&mut vec![command]);
                }
            }
            Err(error) => {
                let error = open::explain(self.path, "write to", error);
                for command in group.drain(..) {
                    command.answer(Err(error.again()));
                }
            }
        }
    }

    fn commit(&mut self, group: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answers = group.iter().map(|command| command.apply(&change)).collect::<Result<Vec<_>, _>>()?;
        change.commit()?;
        let mut touched: Vec<&str> = group.iter().map(Command::queue).collect();
        touched.sort_unstable();
        touched.dedup();
        for queue in touched {
            // The letters are safe; a depth that cannot be read must not say otherwise.
            let _ = self.publish(queue);
        }
        self.untidy |= group.iter().any(|command| !matches!(command, Command::Put { .. }));
        Ok(answers)
    }

    fn publish(&self, queue: &str) -> rusqlite::Result<()> {
        let depth = rows::depth(&self.connection, queue)?;
        self.depths.lock().insert(queue.into(), depth);
        Ok(())
    }

    fn publish_all(&mut self) -> rusqlite::Result<()> {
        for queue in rows::names(&self.connection)? {
            self.publish(&queue)?;
        }
        Ok(())
    }
}

impl Command {
    fn queue(&self) -> &str {
        match self {
            Self::Put { entry, .. } | Self::Replace { entry, .. } => &entry.queue,
            Self::Remove { queue, .. } | Self::Purge { queue, .. } => queue,
        }
    }

    fn apply(&self, connection: &Connection) -> rusqlite::Result<Answer> {
        Ok(match self {
            // The queue has given it up and counted it as dropped.
            Self::Put { reply, .. } if reply.is_closed() => Answer::Put(Put::Full),
            Self::Put { entry, limits, .. } => Answer::Put(put(connection, entry, *limits)?),
            Self::Replace { entry, .. } => Answer::Changed(rows::replace(connection, entry)?),
            Self::Remove { queue, id, .. } => {
                Answer::Changed(rows::purge(connection, queue, &Filter::id(*id))? > 0)
            }
            Self::Purge { queue, filter, .. } => Answer::Count(rows::purge(connection, queue, filter)?),
        })
    }

    /// Whoever asked may have gone.
    fn answer(self, answer: Result<Answer, StoreError>) {
        match (self, answer) {
            (Self::Put { reply, .. }, Ok(Answer::Put(put))) => drop(reply.send(Ok(put))),
            (Self::Put { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (Self::Replace { reply, .. } | Self::Remove { reply, .. }, Ok(Answer::Changed(changed))) => {
                drop(reply.send(Ok(changed)));
            }
            (Self::Replace { reply, .. } | Self::Remove { reply, .. }, Err(error)) => {
                drop(reply.send(Err(error)));
            }
            (Self::Purge { reply, .. }, Ok(Answer::Count(count))) => drop(reply.send(Ok(count))),
            (Self::Purge { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            // `apply` gives each command its own kind of answer; a dropped reply reads as "closed".
            (_, Ok(_)) => {}
        }
    }
}

fn put(connection: &Connection, entry: &Entry, limits: Limits) -> rusqlite::Result<Put> {
    let mut waiting = rows::count(connection, &entry.queue)?;
    if waiting >= limits.capacity && limits.when_full == WhenFull::RefuseNew {
        return Ok(Put::Full);
    }
    let queue = rows::number_or_new(connection, &entry.queue)?;
    let mut evicted = 0;
    while waiting >= limits.capacity && rows::remove_oldest(connection, queue)? {
        waiting -= 1;
        evicted += 1;
    }
    rows::insert(connection, queue, entry)?;
    Ok(Put::Kept { evicted })
}

/// Whether an error concerns the command alone, not the file.
fn is_its_own_fault(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
        )
    )
}
