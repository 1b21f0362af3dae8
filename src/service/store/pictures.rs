//! Finished pictures: what is known of them, and their bytes.

use rusqlite::{Connection, MAIN_DB, Row, Transaction, params};

use super::{JobKey, StoreError};
use crate::picture::Encoded;

/// A finished picture, and how it is to go to its requester.
pub struct Delivery<'a> {
    /// The encoded picture.
    pub encoded: &'a Encoded,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// The seed that it was made from.
    pub seed: u64,
    /// Bytes of a part; 0 if it goes as a whole.
    pub part_bytes: u32,
    /// Whether the parts go without being asked for.
    pub push: bool,
}

impl Delivery<'_> {
    /// Number of parts; 0 if it goes as a whole.
    pub fn parts(&self) -> u32 {
        parts(self.encoded.bytes.len() as u64, self.part_bytes)
    }
}

/// What the store knows of a finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// Its index within the request.
    pub k: u8,
    /// Name of its format.
    pub format: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// The seed that it was made from.
    pub seed: u64,
    /// Bytes of a part; 0 if it goes as a whole.
    pub part_bytes: u32,
}

impl PictureFacts {
    /// Number of parts; 0 if it goes as a whole.
    pub fn parts(&self) -> u32 {
        parts(self.bytes, self.part_bytes)
    }
}

/// A picture in the file.
pub(super) struct Stored {
    key: i64,
    pub(super) facts: PictureFacts,
    pub(super) push: bool,
}

impl Stored {
    /// The whole file.
    pub(super) fn bytes(&self, connection: &Connection) -> Result<Vec<u8>, StoreError> {
        self.range(connection, 0, self.facts.bytes)
    }

    /// Part `index`; only its own pages are read.
    pub(super) fn part(&self, connection: &Connection, index: u32) -> Result<Vec<u8>, StoreError> {
        let size = u64::from(self.facts.part_bytes);
        let from = u64::from(index) * size;
        self.range(connection, from, size.min(self.facts.bytes.saturating_sub(from)))
    }

    fn range(&self, connection: &Connection, from: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        let blob = connection.blob_open(MAIN_DB, "picture", "bytes", self.key, true)?;
        let mut bytes = vec![0; length as usize];
        blob.read_at_exact(&mut bytes, from as usize)?;
        Ok(bytes)
    }
}

const STORED: &str = "SELECT key, push, k, format, width, height, size, sha256, seed, part_bytes FROM picture";

/// Picture `k` of a job.
pub(super) fn picture(connection: &Connection, job: JobKey, k: u8) -> rusqlite::Result<Stored> {
    let mut statement = connection.prepare_cached(&format!("{STORED} WHERE job = ? AND k = ?"))?;
    statement.query_row(params![job.0, k], stored)
}

/// All pictures of a job, in order.
pub(super) fn pictures(connection: &Connection, job: JobKey) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare_cached(&format!("{STORED} WHERE job = ? ORDER BY k"))?;
    statement.query_map([job.0], stored)?.collect()
}

pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let facts = PictureFacts {
        k: row.get(2)?,
        format: row.get(3)?,
        width: row.get(4)?,
        height: row.get(5)?,
        bytes: row.get(6)?,
        sha256: row.get(7)?,
        seed: row.get(8)?,
        part_bytes: row.get(9)?,
    };
    Ok(Stored { key: row.get(0)?, push: row.get(1)?, facts })
}

/// Stores picture `k` of a job.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    job: JobKey,
    k: u8,
    delivery: &Delivery<'_>,
) -> Result<(), StoreError> {
    let encoded = delivery.encoded;
    transaction.execute(
        "INSERT INTO picture (job, k, format, width, height, size, sha256, seed, part_bytes, push, bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            job.0,
            k,
            encoded.format.name(),
            encoded.width,
            encoded.height,
            encoded.bytes.len(),
            delivery.sha256,
            delivery.seed,
            delivery.part_bytes,
            delivery.push,
            encoded.bytes,
        ],
    )?;
    Ok(())
}

fn parts(bytes: u64, part_bytes: u32) -> u32 {
    bytes.checked_div(u64::from(part_bytes)).map_or(0, |_| bytes.div_ceil(u64::from(part_bytes)) as u32)
}
