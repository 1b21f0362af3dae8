//! The zip layout of `torch.save`: `NAME/data.pkl`, `NAME/data/KEY` for each storage, `NAME/byteorder`.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::budget;
use super::storage::Storages;
use crate::weights::WeightsError;

/// What an archive holds: stored entries as parts of the file, deflated ones inflated.
pub(super) struct Archive<'a> {
    pub(super) program: Cow<'a, [u8]>,
    pub(super) storages: Storages<'a>,
}

/// Opens an archive and takes out what belongs to its pickle.
///
/// Checksums are not looked at, as PyTorch does not; a broken weight is found if it is no number.
pub(super) fn read(file: &[u8]) -> Result<Archive<'_>, WeightsError> {
    let zip = ZipArchive::new(Cursor::new(file)).map_err(broken)?;
    let names: Vec<String> = zip.file_names().filter_map(|name| name.ok().map(Cow::into_owned)).collect();
    let root = names.iter().find_map(|name| name.strip_suffix("data.pkl").filter(|root| is_folder(root)));
    let root =
        root.ok_or_else(|| WeightsError::malformed("the archive holds no data.pkl, so it is not from torch.save"))?;
    let mut entries = Entries { file, zip, packed: 0, inflated: 0 };
    if let Some(order) = entries.read(&format!("{root}byteorder"))?
        && order.as_ref() != b"little"
    {
        return Err(WeightsError::Unsupported("a file with the byte order of another machine".to_owned()));
    }
    let folder = format!("{root}data/");
    let mut storages = Storages::default();
    for name in &names {
        let Some(key) = name.strip_prefix(&folder) else { continue };
        if let Some(bytes) = entries.read(name)? {
            storages.add(key.to_owned(), bytes);
        }
    }
    let program = entries.read(&format!("{root}data.pkl"))?.unwrap_or_default();
    Ok(Archive { program, storages })
}

/// Whether a path names a folder, or where the archive itself begins.
fn is_folder(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}

/// The entries of an archive, and what was spent on them.
struct Entries<'a> {
    file: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    packed: u64,
    inflated: u64,
}

impl<'a> Entries<'a> {
    /// The content of an entry, if there is one of that name.
    fn read(&mut self, name: &str) -> Result<Option<Cow<'a, [u8]>>, WeightsError> {
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        // Entries do not share their bytes in an honest archive, so together they are not longer than the file.
        self.packed = self.packed.saturating_add(entry.compressed_size());
        WeightsError::check_limit("the bytes of the archive's entries", self.file.len() as u64, self.packed)?;
        if entry.compression() == CompressionMethod::Stored {
            let from = entry.data_start().and_then(|start| usize::try_from(start).ok());
            let stored = from.and_then(|from| self.file.get(from..)?.get(..entry.compressed_size() as usize));
            return stored.map(|bytes| Some(Cow::Borrowed(bytes))).ok_or_else(|| broken("an entry lies outside it"));
        }
        let limit = budget(self.file);
        let mut bytes = Vec::new();
        entry.take(limit - self.inflated + 1).read_to_end(&mut bytes).map_err(broken)?;
        self.inflated += bytes.len() as u64;
        WeightsError::check_limit("the bytes of the inflated archive", limit, self.inflated)?;
        Ok(Some(Cow::Owned(bytes)))
    }
}

fn broken(error: impl std::fmt::Display) -> WeightsError {
    WeightsError::Malformed(format!("the archive is broken: {error}"))
}
