//! Small things that outlive a restart: settings, and counters.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError};

impl Store {
    /// What was set under this name.
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read(|connection| {
            let value = connection.query_row("SELECT value FROM setting WHERE name = ?", [name], |row| row.get(0));
            Ok(value.optional()?)
        })
    }

    /// Sets something, or takes it back.
    pub fn set(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        self.write(|transaction| {
            match value {
                Some(value) => transaction
                    .execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", params![name, value])?,
                None => transaction.execute("DELETE FROM setting WHERE name = ?", [name])?,
            };
            Ok(())
        })
    }

    /// What tells this store from every other: drawn at random once.
    pub fn mark(&self) -> Result<String, StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO setting (name, value) VALUES ('mark', lower(hex(randomblob(8)))) ON CONFLICT DO NOTHING",
                [],
            )?;
            Ok(transaction.query_row("SELECT value FROM setting WHERE name = 'mark'", [], |row| row.get(0))?)
        })
    }

    /// Adds one to a counter that lives as long as the store, and returns its new value.
    pub fn count(&self, name: &str) -> Result<u64, StoreError> {
        self.write(|transaction| count(transaction, name))
    }

    /// The value of such a counter.
    pub fn counted(&self, name: &str) -> Result<u64, StoreError> {
        self.read(|connection| counted(connection, name))
    }
}

pub(super) fn count(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO fact (name, value) VALUES (?, 1)
         ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
    )?;
    Ok(statement.query_row([name], |row| row.get(0))?)
}

pub(super) fn counted(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    let mut value = connection.prepare_cached("SELECT value FROM fact WHERE name = ?")?;
    Ok(value.query_row([name], |row| row.get(0)).optional()?.unwrap_or(0))
}
