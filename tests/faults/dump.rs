//! What is in a store, read past the code that wrote it, and the rules that must hold of it at every moment.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::calls;

/// Every table with the number of its rows and a hash of all that is in them, as JSON; equal if and only if they hold the same.
pub fn dump(file: &Path) -> rusqlite::Result<String> {
    let connection = open(file)?;
    let mut tables = Map::new();
    for table in names(&connection)? {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut hashes = Vec::new();
        while let Some(row) = rows.next()? {
            let mut hash = Sha256::new();
            for column in 0..columns {
                feed(&mut hash, row.get_ref(column)?);
            }
            hashes.push(hash.finalize());
        }
        hashes.sort();
        let whole: [u8; 32] = hashes.iter().fold(Sha256::new(), |whole, row| whole.chain_update(row)).finalize().into();
        let short = u64::from_be_bytes(whole[..8].try_into().unwrap());
        tables.insert(table, json!([hashes.len(), format!("{short:016x}")]));
    }
    Ok(Value::Object(tables).to_string())
}

/// What must hold in every store that can be opened: a name, and a query that finds what breaks it.
const RULES: [(&str, &str); 13] = [
    (
        "a job has a state that there is",
        "SELECT key FROM job WHERE state NOT IN ('queued', 'running', 'done', 'failed', 'cancelled', 'expired')",
    ),
    (
        "a job has an end if and only if it has ended",
        "SELECT key FROM job WHERE (finished IS NULL) <> (state IN ('queued', 'running'))",
    ),
    ("a job has its request", "SELECT key FROM job WHERE whole = 1 AND key NOT IN (SELECT job FROM request)"),
    ("a request belongs to a job", "SELECT job FROM request WHERE job NOT IN (SELECT key FROM job)"),
    (
        "a repeated request gets the last status of a job that ended",
        "SELECT key FROM job WHERE finished IS NOT NULL AND
             (answer ->> '$.state' <> state OR answer ->> '$.seq' <> seq)",
    ),
    (
        "no status has a number that the job has not reached",
        "SELECT mail.key FROM mail JOIN job ON job.key = mail.job WHERE mail.body ->> '$.seq' > job.seq",
    ),
    (
        "only jobs that are done have pictures",
        "SELECT job.key FROM picture JOIN job ON job.key = picture.job WHERE job.state <> 'done'",
    ),
    (
        "a job that is done has its pictures, numbered from 0",
        "SELECT key FROM job WHERE state = 'done' AND whole = 1 AND (SELECT count(*) FROM picture WHERE job = job.key)
             IS NOT (SELECT max(k) + 1 FROM picture WHERE job = job.key)",
    ),
    ("every picture belongs to a job", "SELECT job FROM picture WHERE job NOT IN (SELECT key FROM job)"),
    ("a picture has its size", "SELECT key FROM picture WHERE size <> length(bytes)"),
    (
        "mail belongs to a job, and a picture that waits is there",
        "SELECT mail.key FROM mail WHERE job NOT IN (SELECT key FROM job) OR mail.k IS NOT NULL AND
             NOT EXISTS (SELECT 1 FROM picture WHERE picture.job = mail.job AND picture.k = mail.k)",
    ),
    (
        "parts that wait are there",
        "SELECT mail.key FROM mail JOIN picture ON picture.job = mail.job AND picture.k = mail.k
             WHERE next > last OR last * part_bytes >= size",
    ),
    (
        "a client is served by its oldest job that waits",
        "SELECT rowid FROM client WHERE head IS NOT
             (SELECT min(due) FROM job WHERE client = client.name AND state = 'queued')",
    ),
];

/// The names of the rules that do not hold, with the first row that breaks each.
pub fn broken_rules(file: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = open(file)?;
    let mut broken: Vec<String> = RULES
        .iter()
        .filter_map(|(name, query)| {
            let key = connection.query_row(query, [], |row| row.get::<_, i64>(0));
            match key {
                Ok(key) => Some(format!("{name}, but not {key}")),
                Err(rusqlite::Error::QueryReturnedNoRows) => None,
                Err(error) => Some(format!("{name}: {error}")),
            }
        })
        .collect();
    let sound = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    if sound.as_deref() != Ok("ok") {
        broken.push(format!("the file is damaged: {sound:?}"));
    }
    broken.extend(spoilt_pictures(&connection)?);
    Ok(broken)
}

/// Pictures whose bytes are not those of the hash that was told to the requester.
fn spoilt_pictures(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut pictures = connection.prepare("SELECT key, sha256, bytes FROM picture")?;
    let pictures = pictures.query_map([], |row| {
        let (key, sha256, bytes): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((calls::sha256(&bytes) != sha256).then(|| format!("picture {key} has other bytes")))
    })?;
    pictures.filter_map(Result::transpose).collect()
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    // Not read-only: a store that nobody has open may need its log to be read into it.
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Type and length go in as well, so that no two rows look alike.
fn feed(hash: &mut Sha256, value: ValueRef<'_>) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match value {
        ValueRef::Null => part(0, &[]),
        ValueRef::Integer(number) => part(1, &number.to_le_bytes()),
        ValueRef::Real(number) => part(2, &number.to_le_bytes()),
        ValueRef::Text(bytes) => part(3, bytes),
        ValueRef::Blob(bytes) => part(4, bytes),
    }
}
