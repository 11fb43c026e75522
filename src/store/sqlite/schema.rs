//! The schema of the file, and its migrations.
//!
//! The content of a letter is long and read seldom; the columns that filters use are short and read often. So they are in
//! two tables. Further tables hold sums, because counting a million letters would take too long.

use rusqlite::{Connection, TransactionBehavior};

/// `CAMP`: the application id in the header, which distinguishes the file from those of other programs.
pub(super) const APPLICATION: i32 = 0x4341_4d50;

/// The current version of the schema. To change the schema, add a migration; existing migrations never change.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Each migrates the schema from the version of its index to the next one.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        letters INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE letters (
        id BLOB NOT NULL,
        queue INTEGER NOT NULL,
        component TEXT NOT NULL,
        kind TEXT NOT NULL,
        fingerprint INTEGER NOT NULL,
        first_failed INTEGER NOT NULL,
        last_failed INTEGER NOT NULL,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE UNIQUE INDEX letters_by_id ON letters (queue, id);
    CREATE INDEX letters_by_fingerprint ON letters (queue, fingerprint, id);
    CREATE TRIGGER letter_comes AFTER INSERT ON letters BEGIN
        UPDATE queues SET letters = letters + 1 WHERE id = new.queue;
    END;
    CREATE TRIGGER letter_goes AFTER DELETE ON letters BEGIN
        UPDATE queues SET letters = letters - 1 WHERE id = old.queue;
    END;
",
    // `rows.rs` defines the lanes. Old letters go to lane 1, which makes no assumption about the time of the id.
    "
    DROP TRIGGER letter_comes;
    DROP TRIGGER letter_goes;
    ALTER TABLE letters RENAME TO old_letters;
    ALTER TABLE queues ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE causes (
        id INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        fingerprint INTEGER NOT NULL,
        component TEXT NOT NULL,
        kind TEXT NOT NULL,
        letters INTEGER NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        UNIQUE (queue, fingerprint, component, kind)
    );
    CREATE TABLE contents (
        id INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE letters (
        queue INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        id BLOB NOT NULL,
        cause INTEGER NOT NULL,
        content INTEGER NOT NULL,
        size INTEGER NOT NULL,
        first_failed INTEGER NOT NULL,
        last_failed INTEGER NOT NULL,
        due INTEGER,
        expires INTEGER,
        holder BLOB,
        held_until INTEGER,
        PRIMARY KEY (queue, lane, id)
    ) WITHOUT ROWID;
    CREATE TABLE failures (
        queue INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        fingerprint INTEGER NOT NULL,
        component TEXT NOT NULL,
        kind TEXT NOT NULL,
        failures INTEGER NOT NULL,
        PRIMARY KEY (queue, minute, fingerprint)
    ) WITHOUT ROWID;
    CREATE TABLE purges (
        id INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        record TEXT NOT NULL,
        purged INTEGER NOT NULL
    );
    INSERT INTO causes (queue, fingerprint, component, kind, letters, first_seen, last_seen)
        SELECT queue, fingerprint, component, kind, count(*), min(first_failed), max(last_failed)
        FROM old_letters GROUP BY 1, 2, 3, 4;
    INSERT INTO contents (id, head, body) SELECT rowid, head, body FROM old_letters;
    INSERT INTO letters (queue, lane, id, cause, content, size, first_failed, last_failed)
        SELECT old.queue, 1, old.id, causes.id, old.rowid, length(old.head) + length(old.body),
            old.first_failed, old.last_failed
        FROM old_letters AS old JOIN causes USING (queue, fingerprint, component, kind)
        ORDER BY old.queue, old.id;
    INSERT INTO failures (queue, minute, fingerprint, component, kind, failures)
        SELECT queue, last_failed / 60000000, fingerprint, component, kind, count(*) FROM old_letters
        WHERE last_failed / 1000000 > CAST(strftime('%s', 'now') AS INTEGER) - 86400 GROUP BY 1, 2, 3;
    UPDATE queues SET (letters, bytes) =
        (SELECT count(*), coalesce(sum(size), 0) FROM letters WHERE queue = queues.id);
    DROP TABLE old_letters;
    CREATE INDEX letters_by_cause ON letters (cause, lane, id);
    CREATE INDEX letters_by_due ON letters (queue, due) WHERE lane = 2;
    CREATE INDEX letters_by_expiry ON letters (queue, expires) WHERE expires IS NOT NULL;
    CREATE INDEX purges_by_queue ON purges (queue, id);
",
    // An origin is a component and a kind: there are few origins and many causes. A cause is mixed if another cause has the
    // same fingerprint. The table `causes` gets a new name, so that an older program that has the file open fails instead of
    // writing causes without origins. Letters that are dated ahead are dated back to now.
    "
    CREATE TABLE clock (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        boot TEXT NOT NULL,
        up INTEGER NOT NULL,
        moment INTEGER NOT NULL
    );
    CREATE TABLE origins (
        id INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        component TEXT NOT NULL,
        kind TEXT NOT NULL,
        UNIQUE (queue, component, kind)
    );
    ALTER TABLE causes RENAME TO known_causes;
    INSERT INTO origins (queue, component, kind) SELECT DISTINCT queue, component, kind FROM known_causes;
    ALTER TABLE known_causes ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE known_causes ADD COLUMN mixed INTEGER NOT NULL DEFAULT 0;
    UPDATE known_causes SET origin = (SELECT id FROM origins WHERE origins.queue = known_causes.queue
        AND origins.component = known_causes.component AND origins.kind = known_causes.kind);
    UPDATE known_causes SET mixed = 1 WHERE EXISTS (SELECT 1 FROM known_causes AS other
        WHERE other.queue = known_causes.queue AND other.fingerprint = known_causes.fingerprint
        AND other.id <> known_causes.id);
    ALTER TABLE letters ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
    DROP INDEX letters_by_due;
    UPDATE letters SET holder = NULL, held_until = NULL,
        origin = (SELECT origin FROM known_causes WHERE known_causes.id = letters.cause);
    CREATE TEMP TABLE now AS SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000 AS micros;
    UPDATE letters SET lane = CASE lane WHEN 0 THEN 1 ELSE lane END, last_failed = micros,
        due = due - (last_failed - micros), expires = expires - (last_failed - micros)
        FROM now WHERE last_failed > micros + 60000000;
    DELETE FROM failures WHERE minute > (SELECT micros FROM now) / 60000000 + 1;
    DROP TABLE now;
    CREATE INDEX letters_by_origin ON letters (origin, lane, id);
    CREATE INDEX letters_by_due ON letters (origin, due) WHERE lane = 2;
    CREATE INDEX causes_by_size ON known_causes (origin, letters DESC, fingerprint < 0, fingerprint);
    CREATE INDEX causes_mixed ON known_causes (queue) WHERE mixed = 1;
",
];

/// Migrates the schema to the current version in one transaction. Calls `copy` with the version of an older file before it
/// changes the file. Returns the version that the file had.
pub(super) fn migrate<E: From<rusqlite::Error>>(
    connection: &mut Connection,
    copy: impl FnOnce(i32) -> Result<(), E>,
) -> Result<i32, E> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated the file meanwhile.
    let version = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if (1..VERSION).contains(&version) {
        // The transaction holds the write lock, so the copy is complete.
        copy(version)?;
    }
    let done = usize::try_from(version).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        change.execute_batch(migration)?;
    }
    if version < VERSION {
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(version)
}
