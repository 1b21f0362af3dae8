//! Which folders are models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Whether a folder has the file that makes it a model.
pub fn is_model(folder: &Path) -> bool {
    folder.join("model_index.json").is_file()
}

/// The models in a folder by their names, which are all that a name from outside is ever held against. What is hidden is
/// none: an import makes its folder under such a name.
///
/// A copy that broke off may lack the file that makes it a model. It is among them, so that it does not go unseen.
pub fn model_folders(dir: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let entries = fs::read_dir(dir)?.flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    let looks_like_one = |folder: &Path| is_model(folder) || folder.join("unet").is_dir();
    Ok(named.filter(|(name, folder)| !name.starts_with('.') && looks_like_one(folder)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_broke_off_is_seen_and_what_an_import_is_making_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["whole", "torn/unet", ".new.partial/unet", "notes"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for folder in ["whole", ".new.partial"] {
            fs::write(dir.path().join(folder).join("model_index.json"), "{}").unwrap();
        }
        let found = model_folders(dir.path()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["torn", "whole"]);
        assert!(is_model(&found["whole"]) && !is_model(&found["torn"]));
        assert!(model_folders(&dir.path().join("nowhere")).is_err());
    }
}
