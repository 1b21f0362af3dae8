//! A model folder while it is made: a hidden sibling that takes its name only when everything is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::lock::Lock;
use crate::board::disk_free;
use crate::model::manifest::Manifest;

/// A folder that is being made; it is removed again unless it is finished.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
    /// No other import has this name until this one has its folder. Fields are dropped last, so the lock outlives the folder.
    _lock: Lock,
}

/// Left free beside the new folder, in bytes: a disk that is full to the brim serves nobody.
const SPARE: u64 = 64 << 20;

impl Partial {
    /// Begins the folder `name` in `models`, which takes `size` bytes. An error if it exists, if another import is making it,
    /// or if the disk is too full.
    ///
    /// What imports that were killed have left behind is removed.
    pub(super) fn begin(models: &Path, name: &str, size: u64) -> Result<Self, ImportError> {
        let (target, path) = (models.join(name), partial(models, name));
        absent(&target)?;
        let about = fs::metadata(models).map_err(|error| ImportError::disk(models, &error))?;
        if !about.is_dir() {
            return Err(ImportError::disk(models, &io::Error::from(io::ErrorKind::NotADirectory)));
        }
        let lock = Lock::take(models, name)?.ok_or_else(|| {
            ImportError::Asked(format!("{} is being imported: give another --name", target.display()))
        })?;
        // The other import may have ended before the lock was ours.
        absent(&target)?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ImportError::disk(&path, &error)),
            _ => {}
        }
        sweep(models);
        enough(models, size.saturating_add(SPARE))?;
        fs::create_dir(&path).map_err(|error| ImportError::disk(&path, &error))?;
        Ok(Self { path, target, finished: false, _lock: lock })
    }

    /// Where a file of the folder is now.
    pub(super) fn at(&self, file: &Path) -> PathBuf {
        self.path.join(file)
    }

    /// Writes a whole file.
    pub(super) fn write(&self, file: &Path, content: &[u8]) -> Result<(), ImportError> {
        let path = self.made(file)?;
        fs::write(&path, content).map_err(|error| ImportError::disk(&path, &error))
    }

    /// Copies a whole file.
    pub(super) fn copy(&self, file: &Path, from: &Path) -> Result<(), ImportError> {
        let path = self.made(file)?;
        let copied = fs::copy(from, &path).and_then(|_| {
            // A template may be read-only, and its copy is still to be filled.
            let mut permissions = fs::metadata(&path)?.permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
            fs::set_permissions(&path, permissions)
        });
        copied.map_err(|error| ImportError::disk(&path, &error))
    }

    /// A file of so many bytes, all zero where it is new.
    pub(super) fn open(&self, file: &Path, length: u64) -> Result<Filling, ImportError> {
        let path = self.made(file)?;
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let filled = opened.and_then(|file| file.set_len(length).map(|()| file));
        filled.map(|file| Filling { file, path: path.clone() }).map_err(|error| ImportError::disk(&path, &error))
    }

    /// The path of a file whose folder exists.
    fn made(&self, file: &Path) -> Result<PathBuf, ImportError> {
        let path = self.at(file);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(|error| ImportError::disk(folder, &error))?;
        Ok(path)
    }

    /// Lists the files, sees to it that all is on the disk, and gives the folder its name. Returns where it is.
    pub(super) fn finish(mut self) -> Result<PathBuf, ImportError> {
        Manifest::of(&self.path, &|_| ())?.write(&self.path)?;
        sync(&self.path)?;
        absent(&self.target)?;
        fs::rename(&self.path, &self.target).map_err(|error| ImportError::disk(&self.target, &error))?;
        self.finished = true;
        sync_one(self.target.parent().unwrap_or(&self.target))?;
        Ok(self.target.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // The reason of the failure is known already; a second one would hide it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A file whose bytes are put in place piece by piece.
#[derive(Debug)]
pub(super) struct Filling {
    file: File,
    path: PathBuf,
}

impl Filling {
    pub(super) fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), ImportError> {
        self.file.write_all_at(bytes, offset).map_err(|error| ImportError::disk(&self.path, &error))
    }
}

/// Where the folder `name` is while it is made.
fn partial(models: &Path, name: &str) -> PathBuf {
    models.join(format!(".{name}.partial"))
}

/// Removes the leftovers of other imports that were killed; those at work hold their lock.
///
/// One that cannot be removed only takes room, and is no reason to refuse this import.
fn sweep(models: &Path) {
    for entry in fs::read_dir(models).into_iter().flatten().flatten() {
        let own = entry.file_name();
        let name = own.to_str().and_then(|own| own.strip_prefix('.')?.strip_suffix(".partial"));
        if let Some(name) = name.filter(|name| super::check_name(name).is_ok())
            && let Ok(Some(_lock)) = Lock::take(models, name)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A name that is taken is never taken over, not even by a link that leads nowhere.
fn absent(target: &Path) -> Result<(), ImportError> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ImportError::disk(target, &error)),
        Ok(_) => Err(ImportError::Asked(format!("{} exists: give another --name", target.display()))),
    }
}

/// An error unless the disk of `folder` has `need` bytes free for us.
fn enough(folder: &Path, need: u64) -> Result<(), ImportError> {
    let free = disk_free(folder).map_err(|error| ImportError::disk(folder, &error))?;
    if free >= need {
        return Ok(());
    }
    let reason = format!("the disk must have {} MiB free, got {} MiB", need >> 20, free >> 20);
    Err(ImportError::Disk { file: folder.to_owned(), reason })
}

/// Brings a folder with all that is in it to the disk.
fn sync(path: &Path) -> Result<(), ImportError> {
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| ImportError::disk(path, &error))? {
            sync(&entry.map_err(|error| ImportError::disk(path, &error))?.path())?;
        }
    }
    sync_one(path)
}

fn sync_one(path: &Path) -> Result<(), ImportError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| ImportError::disk(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_import_of_a_name_is_refused_and_leaves_the_first_alone() {
        let models = tempfile::tempdir().unwrap();
        let first = Partial::begin(models.path(), "new", 0).unwrap();
        first.write(Path::new("unet/model.onnx"), b"first").unwrap();
        let error = Partial::begin(models.path(), "new", 0).unwrap_err();
        assert!(matches!(&error, ImportError::Asked(text) if text.contains("new is being imported")), "{error}");
        let other = Partial::begin(models.path(), "other", 0).unwrap();
        let folder = first.finish().unwrap();
        assert_eq!(fs::read(folder.join("unet/model.onnx")).unwrap(), b"first");
        drop(other);
        let names: Vec<_> = fs::read_dir(models.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"], "nothing else is left");
        let error = Partial::begin(models.path(), "new", 0).unwrap_err();
        assert!(error.to_string().contains("exists"), "{error}");
    }

    #[test]
    fn what_a_killed_import_of_another_name_has_left_is_removed() {
        let models = tempfile::tempdir().unwrap();
        let killed = models.path().join(".killed.partial");
        fs::create_dir_all(killed.join("unet")).unwrap();
        fs::write(models.path().join(".killed.lock"), b"").unwrap();
        let at_work = Partial::begin(models.path(), "at-work", 0).unwrap();
        assert!(!killed.exists() && !models.path().join(".killed.lock").exists());
        let _new = Partial::begin(models.path(), "new", 0).unwrap();
        assert!(at_work.at(Path::new("")).exists());
    }
}
