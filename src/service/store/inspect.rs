//! A look at a store from outside, which changes nothing.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{FILE, FORMAT, StoreError, schema, upgrade};

/// What a store says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Format of its file; [`FORMAT`] is that of this version.
    pub format: i64,
    /// Bytes that the disk must have free before the next start can bring it to this version's format; 0 if it has it.
    pub needs: u64,
}

/// Looks at the store in `folder`, which a service may have open. Nothing if there is none.
///
/// # Errors
///
/// [`Newer`](StoreError::Newer) if this version cannot read it.
pub fn inspect(folder: &Path) -> Result<Option<Condition>, StoreError> {
    let file = folder.join(FILE);
    // A file without a byte was made by a start that went no further.
    if !file.try_exists()? || file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let format = schema::readable(&connection, folder, FORMAT)?;
    let needs = if format < FORMAT { upgrade::room_for(upgrade::size(&connection)?) } else { 0 };
    Ok(Some(Condition { format, needs }))
}
