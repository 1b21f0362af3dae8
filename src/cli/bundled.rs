//! Which model is meant when none is named.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::CliError;
use crate::model::{is_model, model_folders};

/// The model that comes with the program, from a folder above the executable: in a checkout, and in a package.
const BUNDLED: [&str; 2] = ["models/shapes", "share/diffused/models/shapes"];

/// Where the service keeps its models.
const STORE: &str = "/var/lib/diffused/models";

/// Where the service keeps its adapters.
const ADAPTERS: &str = "/var/lib/diffused/adapters";

/// The bundled model beside the executable or in a folder above it, else the only one in the service's model store.
pub(super) fn model() -> Result<PathBuf, CliError> {
    let executable = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    find(&executable, Path::new(STORE))
}

/// The adapters of a model: the folder beside that of the models, or beside the model itself. It need not be there.
pub(super) fn adapters(model: &Path) -> PathBuf {
    let beside = |folder: Option<&Path>| folder.map(|folder| folder.join("adapters"));
    let places = [beside(model.parent()), beside(model.parent().and_then(Path::parent))];
    let found = places.into_iter().flatten().find(|folder| folder.is_dir());
    found.unwrap_or_else(|| PathBuf::from(ADAPTERS))
}

fn find(executable: &Path, store: &Path) -> Result<PathBuf, CliError> {
    let mut bundled = executable.ancestors().skip(1).flat_map(|folder| BUNDLED.map(|place| folder.join(place)));
    if let Some(folder) = bundled.find(|folder| is_model(folder)) {
        return Ok(folder);
    }
    let mut folders = model_folders(store).unwrap_or_default().into_values().filter(|folder| is_model(folder));
    match (folders.next(), folders.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            let store = store.display();
            Err(CliError::Usage(format!(
                "there is no {} near the program and no model in {store}: give --model",
                BUNDLED[0]
            )))
        }
        (Some(_), Some(_)) => Err(CliError::Usage(format!("{} holds several models: give --model", store.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_models(folders: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("model_index.json"), "{}").unwrap();
        }
        root
    }

    fn found(root: &Path) -> Result<PathBuf, CliError> {
        find(&root.join("repo/target/release/diffused"), &root.join("store"))
    }

    #[test]
    fn the_bundled_model_goes_before_the_store() {
        let root = with_models(&["repo/models/shapes", "store/sd15"]);
        assert_eq!(found(root.path()).unwrap(), root.path().join("repo/models/shapes"));
    }

    #[test]
    fn an_installed_program_finds_the_model_of_its_package() {
        let root = with_models(&["usr/share/diffused/models/shapes", "store/sd15"]);
        let found = find(&root.path().join("usr/bin/diffused"), &root.path().join("store")).unwrap();
        assert_eq!(found, root.path().join("usr/share/diffused/models/shapes"));
    }

    #[test]
    fn the_only_model_in_the_store_is_meant_and_none_of_two() {
        let root = with_models(&["store/sd15"]);
        assert_eq!(found(root.path()).unwrap(), root.path().join("store/sd15"));
        let root = with_models(&["store/sd15", "store/sd21"]);
        assert!(found(root.path()).unwrap_err().to_string().ends_with("holds several models: give --model"));
        let root = with_models(&[]);
        assert_eq!(found(root.path()).unwrap_err().exit_code(), 64);
    }
}
