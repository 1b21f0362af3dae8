//! Keeps the floors: a file imports its own folder and anything below, never upward; and files stay small.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/` with their floors.
const FLOORS: [(&str, u8); 15] = [
    ("cli", 9),
    ("app", 8),
    ("config", 7),
    ("http", 6),
    ("mqtt", 6),
    ("service", 5),
    ("pipeline", 4),
    ("model", 3),
    ("job", 2),
    ("board", 1),
    ("diffusion", 1),
    ("onnx", 1),
    ("picture", 1),
    ("prompt", 1),
    ("weights", 1),
];

/// Crates that one floor alone may name; the tests beside the code are held to it too.
const PRIVATE: [(&str, &[&str]); 11] = [
    ("ort", &["model"]),
    ("rumqttc", &["mqtt"]),
    ("rustls", &["mqtt"]),
    ("rumqttd", &["mqtt"]),
    ("rusqlite", &["service"]),
    ("tokenizers", &["model"]),
    ("clap", &["cli"]),
    ("httparse", &["http"]),
    ("prost", &["onnx"]),
    ("png", &["picture"]),
    ("image", &["picture"]),
];

/// What a pure floor may not do.
const IMPURE: [&str; 6] = ["std::fs", "std::thread", "std::net", "SystemTime::now", "Instant::now", "tracing::"];
const PURE: [&str; 7] = ["board", "diffusion", "onnx", "picture", "prompt", "weights", "job"];
/// What one of them is there for.
const EXCEPT: (&str, &str) = ("board", "std::fs");

/// No file has more lines than this.
const LONGEST: usize = 300;

#[test]
fn no_file_imports_upward() {
    let faults: Vec<String> = sources().iter().flat_map(|(file, text)| upward(&module(file), text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_planted_upward_import_is_found() {
    assert_eq!(upward("diffusion", "use crate::model::Unet;"), ["diffusion (1) imports model (3)"]);
    assert_eq!(upward("picture", "fn f() { crate::diffusion::sample() }"), ["picture (1) imports diffusion (1)"]);
    assert!(upward("model", "use crate::diffusion::Levels; use crate::model::Unet;").is_empty());
    assert!(upward("diffusion", "// crate::model is above").is_empty());
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let faults: Vec<String> = sources().iter().flat_map(|(file, text)| trespasses(&module(file), text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(trespasses("service", "use ort::Session;"), ["service names ort"]);
    assert!(trespasses("model", "use ort::Session;").is_empty());
}

#[test]
fn pure_floors_stay_pure() {
    // A module `tests` is only there in tests.
    let sources: Vec<_> = sources().into_iter().filter(|(file, _)| !file.ends_with("tests.rs")).collect();
    let faults: Vec<String> = sources.iter().flat_map(|(file, text)| impurities(&module(file), text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_planted_impurity_is_found_before_and_after_what_is_only_for_tests() {
    let now = "let now = SystemTime::now();";
    assert_eq!(impurities("job", now), ["job uses SystemTime::now"]);
    let after_a_declared_module = format!("#[cfg(test)]\nmod tests;\n\n#[cfg(test)]\npub(crate) use a::b;\n{now}\n");
    assert_eq!(impurities("job", &after_a_declared_module), ["job uses SystemTime::now"]);
    let before = format!("{now}\n#[cfg(test)]\nmod tests {{\n    use std::fs;\n}}\n");
    assert_eq!(impurities("job", &before), ["job uses SystemTime::now"]);
    assert!(impurities("job", &format!("#[cfg(test)]\nmod tests {{\n    {now}\n}}\n")).is_empty());
    assert!(impurities("service", now).is_empty());
    assert_eq!(impurities("board", &format!("use std::fs;\n{now}")), ["board uses SystemTime::now"]);
}

#[test]
fn files_stay_small() {
    let files = ["src", "tests", "benches"].iter().flat_map(|folder| files_in(folder));
    let faults: Vec<String> = files.filter_map(too_long).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(too_long((PathBuf::from("a.rs"), "\n".repeat(301))), Some("a.rs has 301 lines".to_owned()));
    assert_eq!(too_long((PathBuf::from("a.rs"), "\n".repeat(300))), None);
}

#[test]
fn every_module_has_a_floor() {
    for (file, _) in sources() {
        let module = module(&file);
        assert!(["lib", "main"].contains(&module.as_str()) || floor(&module).is_some(), "{module} has no floor");
    }
}

fn upward(module: &str, text: &str) -> Vec<String> {
    let Some(own) = floor(module) else { return Vec::new() };
    code(text)
        .flat_map(|line| line.match_indices("crate::").map(|(at, _)| name_after(line, at + 7)).collect::<Vec<_>>())
        .filter(|other| other != module)
        .filter_map(|other| floor(&other).map(|floor| (other, floor)))
        .filter(|(_, floor)| *floor >= own)
        .map(|(other, floor)| format!("{module} ({own}) imports {other} ({floor})"))
        .collect()
}

fn trespasses(module: &str, text: &str) -> Vec<String> {
    PRIVATE
        .iter()
        .filter(|(name, homes)| !homes.contains(&module) && code(text).any(|line| names(line, name)))
        .map(|(name, _)| format!("{module} names {name}"))
        .collect()
}

fn impurities(module: &str, text: &str) -> Vec<String> {
    let pure = PURE.contains(&module);
    let text = shipped(text);
    IMPURE
        .iter()
        .filter(|word| pure && (module, **word) != EXCEPT && code(&text).any(|line| line.contains(**word)))
        .map(|word| format!("{module} uses {word}"))
        .collect()
}

/// A file without its module of tests, which stands at its end: the tests of a pure floor may read their golden files.
fn shipped(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let end = lines.windows(2).position(tests).unwrap_or(lines.len());
    lines[..end].join("\n")
}

fn too_long((file, text): (PathBuf, String)) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST).then(|| format!("{} has {lines} lines", file.display()))
}

/// `name::` that is not the end of a longer path or word.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::"))
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

fn name_after(line: &str, at: usize) -> String {
    line[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The first name below `src/`.
fn module(file: &Path) -> String {
    let first =
        file.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

/// Every source file, relative to `src/`, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let sources: Vec<_> =
        files_in("src").into_iter().map(|(file, text)| (file.strip_prefix("src").unwrap().to_owned(), text)).collect();
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// Every Rust file below a folder of the repository, relative to the repository, with its text.
fn files_in(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push((path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}
