//! The files of a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::LoadError;

/// All files below a folder by their names, such as `unet/model.onnx`: where each is, or why it is none of the folder's.
pub(super) type Found = BTreeMap<String, Result<PathBuf, String>>;

/// Looks at a folder and all folders in it. The folder itself may be a link; what is in it may only link to what is in it.
pub(super) fn below(folder: &Path) -> Result<Found, LoadError> {
    let root = folder.canonicalize().map_err(|error| LoadError::folder(folder, error.to_string()))?;
    let mut found = Found::new();
    look(&root, &root, "", &mut found)?;
    Ok(found)
}

fn look(root: &Path, here: &Path, prefix: &str, found: &mut Found) -> Result<(), LoadError> {
    let fault = |error: std::io::Error| LoadError::folder(here, error.to_string());
    for entry in fs::read_dir(here).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (path, own) = (entry.path(), entry.file_name());
        let name = format!("{prefix}{}", own.to_string_lossy());
        let kind = entry.file_type().map_err(fault)?;
        if kind.is_dir() {
            look(root, &path, &format!("{name}/"), found)?;
            continue;
        }
        let file = match own.to_str().is_some_and(|own| !own.contains(super::list::unlisted)) {
            false => Err("its name cannot stand in a list".to_owned()),
            true if kind.is_file() => Ok(path),
            true if kind.is_symlink() => linked(root, &path),
            true => Err("it must be a file".to_owned()),
        };
        found.insert(name, file);
    }
    Ok(())
}

/// Where a link leads.
fn linked(root: &Path, link: &Path) -> Result<PathBuf, String> {
    let target = link.canonicalize().map_err(|_| "it is a link that leads nowhere".to_owned())?;
    match target.starts_with(root) {
        false => Err("it is a link out of the folder: copy the folder with its contents (cp -rL)".to_owned()),
        true if target.is_file() => Ok(target),
        true => Err("it is a link to something else than a file".to_owned()),
    }
}
