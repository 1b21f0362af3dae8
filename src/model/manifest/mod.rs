//! What files a model folder has, with their SHA-256 digests: `SHA256SUMS`, as `sha256sum` writes and checks it.
//!
//! It finds copies that are torn, rotten or mixed up. Against somebody who can write the folder it proves nothing: they can
//! write the list too.

mod files;
mod list;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use self::files::Found;
use super::error::LoadError;

/// The list's name in a model folder.
pub const MANIFEST: &str = "SHA256SUMS";
/// What it is called while it is written; hidden names of a folder count for nothing.
const DRAFT: &str = ".SHA256SUMS.part";
/// Bytes of the largest list that is read. Models have some dozen files.
const LARGEST: u64 = 1 << 20;

/// The files of a model folder and their digests. Every name is that of a file below the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    digests: BTreeMap<String, [u8; 32]>,
}

/// What is wrong with a file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name below the folder.
    pub file: String,
    /// What it is.
    pub wrong: Wrong,
}

/// What may be wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is listed and not there.
    Missing,
    /// It has another digest.
    Changed,
    /// It is not listed.
    Extra,
    /// It cannot be read, or is no file of this folder.
    Unfit(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            Wrong::Missing => write!(f, "missing  {}", self.file),
            Wrong::Changed => write!(f, "changed  {}", self.file),
            Wrong::Extra => write!(f, "extra    {}", self.file),
            Wrong::Unfit(reason) => write!(f, "unfit    {}: {reason}", self.file),
        }
    }
}

/// Is told of bytes that were read.
type Told<'a> = &'a dyn Fn(u64);

impl Manifest {
    /// The list of a folder, if it has one.
    pub fn open(folder: &Path) -> Result<Option<Self>, LoadError> {
        let file = folder.join(MANIFEST);
        let fault = |reason: String| LoadError::folder(&file, reason);
        match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error.to_string())),
            Ok(about) if !about.is_file() || about.len() > LARGEST => {
                return Err(fault(format!("it must be a file of at most {LARGEST} bytes, got {}", about.len())));
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&file).map_err(|error| fault(error.to_string()))?;
        list::parse(&bytes).map(|digests| Some(Self { digests })).map_err(fault)
    }

    /// The list that a folder should have now. Fails if one of its files cannot stand in a list.
    pub fn of(folder: &Path, told: Told<'_>) -> Result<Self, LoadError> {
        let mut digests = BTreeMap::new();
        for (name, found) in files::below(folder)?.into_iter().filter(|(name, _)| counts(name)) {
            let path = found.map_err(|reason| LoadError::folder(folder.join(&name), reason))?;
            let digest = digest(&path, told).map_err(|error| LoadError::folder(path, error.to_string()))?;
            digests.insert(name, digest);
        }
        Ok(Self { digests })
    }

    /// What is wrong with a folder, every file of which is read.
    pub fn faults(&self, folder: &Path, told: Told<'_>) -> Result<Vec<Fault>, LoadError> {
        let wrong = |path: &Path, listed: &[u8; 32]| match digest(path, told) {
            Ok(digest) if digest == *listed => None,
            Ok(_) => Some(Wrong::Changed),
            Err(error) => Some(Wrong::Unfit(error.to_string())),
        };
        Ok(self.held_against(&files::below(folder)?, wrong))
    }

    /// What is wrong with a folder as far as names tell.
    pub fn glance(&self, folder: &Path) -> Result<Vec<Fault>, LoadError> {
        Ok(self.held_against(&files::below(folder)?, |_, _| None))
    }

    /// Names come from the folder and are looked up in the list; no name of the list ever becomes a path.
    fn held_against(&self, found: &Found, wrong: impl Fn(&Path, &[u8; 32]) -> Option<Wrong>) -> Vec<Fault> {
        let all: BTreeSet<&String> = self.digests.keys().chain(found.keys()).collect();
        let faults = all.into_iter().filter_map(|name| {
            let wrong = match (self.digests.get(name), found.get(name)) {
                (Some(_), None) => Some(Wrong::Missing),
                (Some(listed), Some(Ok(path))) => wrong(path, listed),
                (None, _) if !counts(name) => None,
                (None, Some(Ok(_))) => Some(Wrong::Extra),
                (_, Some(Err(reason))) => Some(Wrong::Unfit(reason.clone())),
                (None, None) => None,
            };
            wrong.map(|wrong| Fault { file: name.clone(), wrong })
        });
        faults.collect()
    }

    /// How many files it lists.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Never: a list names at least one file.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Brings the digests of some files of the folder up to date, and of no others.
    pub(super) fn renew(&mut self, folder: &Path, names: &[&str]) -> Result<(), LoadError> {
        for name in names {
            let path = folder.join(name);
            let digest = digest(&path, &|_| ()).map_err(|error| LoadError::folder(path, error.to_string()))?;
            self.digests.insert((*name).to_owned(), digest);
        }
        Ok(())
    }

    /// Writes the list of a folder so that it is there whole or as it was before.
    pub fn write(&self, folder: &Path) -> Result<(), LoadError> {
        let (draft, file) = (folder.join(DRAFT), folder.join(MANIFEST));
        let written = || {
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // A new file: whatever has its name now is not written through.
            let mut out = File::options().write(true).create_new(true).mode(0o644).open(&draft)?;
            out.write_all(list::text(&self.digests).as_bytes())?;
            out.sync_all()?;
            fs::rename(&draft, &file)?;
            File::open(folder)?.sync_all()
        };
        written().map_err(|error: io::Error| LoadError::folder(&file, format!("it cannot be written: {error}")))
    }
}

/// Whether a file has to be listed: not the list itself, and nothing that is hidden in the folder, such as `.git`. Graphs are
/// in folders of their own, so none of their weights can hide there.
fn counts(name: &str) -> bool {
    name != MANIFEST && !name.starts_with('.')
}

fn digest(path: &Path, told: Told<'_>) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            bytes => {
                hash.update(&piece[..bytes]);
                told(bytes as u64);
            }
        }
    }
}
