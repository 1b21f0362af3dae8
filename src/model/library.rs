//! Finding and starting ONNX Runtime.

use std::path::{Path, PathBuf};
use std::{env, fs};

use ort::LoadDynamicError;
use ort::environment::Environment;

use super::error::LoadError;

/// The one ONNX Runtime of the process.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

impl Runtime {
    /// Finds and starts ONNX Runtime. Works once in a process: the library takes no second environment.
    ///
    /// The library is looked for in this order, and the first one found is taken:
    ///
    /// 1. `setting` (`engine.library` or `--library`): a file, or a folder that holds `libonnxruntime.so`;
    /// 2. the environment variable `ORT_DYLIB_PATH`, likewise;
    /// 3. beside the executable: its own folder, `onnxruntime/` and `lib/` in it, then `onnxruntime/` in each folder
    ///    above, so that a build in a checkout finds what `deploy/onnxruntime.sh` brought;
    /// 4. the system: `/usr/lib/diffused/onnxruntime` (the package's), `/usr/lib/diffused`, `/usr/local/lib`, `/usr/lib`
    ///    and its folder for the machine, `/usr/lib64`, `/opt/onnxruntime/lib`.
    ///
    /// A setting or variable that names nothing usable is an error; the search does not go on behind the operator's back.
    pub fn start(setting: Option<&Path>) -> Result<Self, LoadError> {
        let found = Places::of_this_process(setting).find()?;
        // The loader looks for a bare name elsewhere than in the current folder.
        let library = std::path::absolute(&found).unwrap_or(found);
        elf::check(&library).map_err(|reason| LoadError::BadLibrary { path: library.clone(), reason })?;
        // `ort::init()` would panic where this reports.
        let environment = ort::init_from(&library)
            .map_err(|error| LoadError::BadLibrary { path: library.clone(), reason: sentence(&error) })?
            .with_name("diffused")
            .with_telemetry(false)
            .build()
            .map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
        tracing::info!(library = %library.display(), "ONNX Runtime started");
        Ok(Self { environment, library })
    }

    /// The file that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// What the library says of how it was built: its branch, commit and flags.
    pub fn build(&self) -> &'static str {
        ort::info()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn sentence(error: &LoadDynamicError) -> String {
    match error {
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!("must be ONNX Runtime 1.{} or newer, got {version_str}", ort::MINOR_VERSION)
        }
        LoadDynamicError::MissingApi { .. } => "is not ONNX Runtime, it has no OrtGetApiBase".to_owned(),
        LoadDynamicError::Dlopen { error, .. } => format!("cannot be loaded: {error}"),
        other => format!("cannot be used: {other}"),
    }
}

/// Where to look.
struct Places<'a> {
    setting: Option<&'a Path>,
    variable: Option<PathBuf>,
    executable: Option<PathBuf>,
    system: Vec<PathBuf>,
}

impl<'a> Places<'a> {
    fn of_this_process(setting: Option<&'a Path>) -> Self {
        let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
        let system = [
            "/usr/lib/diffused/onnxruntime",
            "/usr/lib/diffused",
            "/usr/local/lib",
            "/usr/lib",
            &multiarch,
            "/usr/lib64",
            "/opt/onnxruntime/lib",
        ];
        Self {
            setting,
            variable: env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()).map(PathBuf::from),
            executable: env::current_exe().and_then(fs::canonicalize).ok(),
            system: system.iter().map(PathBuf::from).collect(),
        }
    }

    /// The first library in the order that [`Runtime::start`] tells.
    fn find(&self) -> Result<PathBuf, LoadError> {
        if let Some(given) = self.setting.or(self.variable.as_deref()) {
            return in_place(given).ok_or_else(|| LoadError::NoLibrary { places: vec![given.to_owned()] });
        }
        let places: Vec<PathBuf> = self.beside_executable().into_iter().chain(self.system.iter().cloned()).collect();
        places.iter().find_map(|place| in_place(place)).ok_or(LoadError::NoLibrary { places })
    }

    fn beside_executable(&self) -> Vec<PathBuf> {
        let Some(own) = self.executable.as_deref().and_then(Path::parent) else { return Vec::new() };
        let mut places = vec![own.to_owned(), own.join("onnxruntime"), own.join("lib")];
        places.extend(own.ancestors().skip(1).map(|folder| folder.join("onnxruntime")));
        places
    }
}

/// The file itself, or the library in the folder: `libonnxruntime.so`, else the one with the highest version.
fn in_place(place: &Path) -> Option<PathBuf> {
    if !place.is_dir() {
        return place.is_file().then(|| place.to_owned());
    }
    let plain = place.join("libonnxruntime.so");
    if plain.is_file() {
        return Some(plain);
    }
    let names = fs::read_dir(place).ok()?.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
    let versions = names.filter_map(|name| {
        let version = name.strip_prefix("libonnxruntime.so.")?.split('.').map(|part| part.parse::<u32>().ok());
        Some((version.collect::<Option<Vec<_>>>()?, name.clone()))
    });
    versions.max().map(|(_, name)| place.join(name))
}

/// The first bytes of a library: the loader's own messages for these faults are misleading.
mod elf {
    use std::io::Read;
    use std::path::Path;

    /// Fails with the end of a sentence that begins with the file's name.
    pub(super) fn check(path: &Path) -> Result<(), String> {
        let mut head = [0; 20];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        if read.is_err() || head[..4] != *b"\x7fELF" {
            return Err("must be a shared library, got something else".to_owned());
        }
        let (machine, wanted) = (u16::from_le_bytes([head[18], head[19]]), std::env::consts::ARCH);
        match name(machine) {
            Some(name) if name != wanted => Err(format!("must be a library for {wanted}, got one for {name}")),
            _ => Ok(()),
        }
    }

    fn name(machine: u16) -> Option<&'static str> {
        match machine {
            3 => Some("x86"),
            40 => Some("arm"),
            62 => Some("x86_64"),
            183 => Some("aarch64"),
            243 => Some("riscv64"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with empty files in place of libraries.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn places(root: &Path) -> Places<'static> {
        let executable = Some(root.join("repo/target/release/diffused"));
        Places { setting: None, variable: None, executable, system: vec![root.join("usr/lib")] }
    }

    #[test]
    fn the_setting_goes_before_the_variable_and_both_before_the_search() {
        let root = folder(&["a.so", "b.so", "repo/onnxruntime/libonnxruntime.so"]);
        let (a, b) = (root.path().join("a.so"), root.path().join("b.so"));
        let with_variable = Places { variable: Some(b.clone()), ..places(root.path()) };
        assert_eq!(with_variable.find().unwrap(), b);
        assert_eq!(Places { setting: Some(&a), ..with_variable }.find().unwrap(), a);
    }

    #[test]
    fn a_setting_that_names_nothing_is_an_error_even_if_there_is_another_library() {
        let root = folder(&["usr/lib/libonnxruntime.so"]);
        let gone = root.path().join("gone.so");
        let error = Places { setting: Some(&gone), ..places(root.path()) }.find().unwrap_err().to_string();
        assert!(error.contains("gone.so: run deploy/onnxruntime.sh or set engine.library"), "{error}");
    }

    #[test]
    fn beside_the_executable_goes_before_the_folders_above_and_these_before_the_system() {
        let order = [
            "repo/target/release/libonnxruntime.so",
            "repo/target/release/onnxruntime/libonnxruntime.so",
            "repo/target/release/lib/libonnxruntime.so",
            "repo/onnxruntime/libonnxruntime.so",
            "usr/lib/libonnxruntime.so",
        ];
        for first in 0..order.len() {
            let root = folder(&order[first..]);
            assert_eq!(places(root.path()).find().unwrap(), root.path().join(order[first]));
        }
    }

    #[test]
    fn the_newest_version_in_a_folder_is_taken_and_no_provider() {
        let root = folder(&[
            "usr/lib/libonnxruntime.so.1.9.0",
            "usr/lib/libonnxruntime.so.1.31.1",
            "usr/lib/libonnxruntime_providers_shared.so",
        ]);
        assert!(places(root.path()).find().unwrap().ends_with("libonnxruntime.so.1.31.1"));
    }

    #[test]
    fn nothing_anywhere_tells_what_to_do() {
        let root = folder(&[]);
        let error = places(root.path()).find().unwrap_err().to_string();
        assert!(error.contains("usr/lib") && error.ends_with("run deploy/onnxruntime.sh or set engine.library"));
    }

    #[test]
    fn an_old_library_is_told_which_one_is_needed() {
        let error = LoadDynamicError::BadVersion { version_str: "1.9.0".to_owned(), path: PathBuf::new() };
        assert_eq!(sentence(&error), "must be ONNX Runtime 1.17 or newer, got 1.9.0");
    }

    #[test]
    fn a_text_and_a_library_for_another_machine_are_told_apart() {
        let root = folder(&["text.so", "foreign.so"]);
        fs::write(root.path().join("text.so"), "INPUT(libonnxruntime.so.1)").unwrap();
        let mut foreign = b"\x7fELF".to_vec();
        foreign.extend([2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 243, 0]);
        fs::write(root.path().join("foreign.so"), foreign).unwrap();
        let message = |name| elf::check(&root.path().join(name)).unwrap_err();
        assert_eq!(message("text.so"), "must be a shared library, got something else");
        assert!(message("foreign.so").ends_with("got one for riscv64"));
    }
}
