//! The tables, and how a file of an older version becomes one of this version.

use rusqlite::Connection;

use super::StoreError;

/// Format of the file; each entry of `STEPS` leads from its index to the next format.
const KNOWN: i64 = STEPS.len() as i64;

const STEPS: [&str; 1] = ["
    CREATE TABLE job (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        client TEXT NOT NULL,
        id TEXT NOT NULL,
        origin TEXT NOT NULL,
        correlation BLOB,
        hash BLOB NOT NULL,          -- SHA-256 of the payload as it came
        request TEXT NOT NULL,       -- the request with every default written out
        accepted INTEGER NOT NULL,   -- milliseconds since 1970
        started INTEGER,
        finished INTEGER,
        priority INTEGER NOT NULL,
        state TEXT NOT NULL,
        seq INTEGER NOT NULL,        -- number of the last status
        attempt INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,
        boot TEXT,                   -- boot of the machine in which it was last started
        cancel INTEGER NOT NULL DEFAULT 0,
        answer TEXT NOT NULL,        -- the newest status that a repeated request gets again
        UNIQUE (client, id)
    );
    CREATE INDEX job_by_turn ON job (state, priority DESC, key);
    CREATE INDEX job_by_hash ON job (client, hash);
    CREATE TABLE picture (
        job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
        k INTEGER NOT NULL,
        format TEXT NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (job, k)
    );
    CREATE TABLE mail (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        job INTEGER NOT NULL REFERENCES job (key) ON DELETE CASCADE,
        k INTEGER,                   -- index of a picture, or null for a status
        body TEXT                    -- the status, or null for a picture
    );
    CREATE INDEX mail_by_job ON mail (job, key);
    CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"];

/// Sets the pragmas and brings the tables to this version's format.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    // Before the first page is written, or it has no effect.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > KNOWN {
        return Err(StoreError::Newer { found, known: KNOWN });
    }
    for (index, step) in STEPS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(&format!("BEGIN; {step}; PRAGMA user_version = {}; COMMIT;", index + 1))?;
    }
    Ok(())
}
