//! `diffused models list`, `show` and `verify` as a person runs them: on sound folders, and on folders that something is wrong with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::golden::family::Family;
use crate::support::program::{complaint, root, run};

/// A folder of models with a copy of the bundled one, `shapes`, and what else a test puts there.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.add("shapes");
        this
    }

    /// Another copy of the bundled model.
    fn add(&self, name: &str) {
        copy(&root().join("models/shapes"), &self.0.path().join(name));
    }

    /// A file of `shapes`.
    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join("shapes").join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        let models = self.0.path().to_str().unwrap();
        run(&[&["models"], words, &["--models", models]].concat())
    }

    /// What `verify` finds, line by line, and that its exit code says so.
    fn faults(&self) -> Vec<String> {
        let output = self.run(&["verify", "shapes"]);
        let lines: Vec<String> = said(&output).lines().map(str::to_owned).collect();
        let sound = lines.len() == 1 && lines[0].ends_with("graphs are whole");
        assert_eq!(output.status.code(), Some(if sound { 0 } else { 65 }), "{output:?}");
        if sound { Vec::new() } else { lines }
    }

    fn list(&self) -> Value {
        let output = self.run(&["list", "--json"]);
        assert!(output.status.success(), "{}", complaint(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_bundled_model_is_what_its_list_says() {
    let models = root().join("models").display().to_string();
    let output = run(&["models", "verify", "shapes", "--models", &models]);
    assert!(output.status.success(), "make it anew with --write: {}{}", said(&output), complaint(&output));
    assert_eq!(said(&output), "shapes: 17 files are as SHA256SUMS says, 5 graphs are whole\n");
}

#[test]
fn a_flipped_bit_a_missing_and_an_extra_file_are_found() {
    let shelf = Shelf::new();
    assert_eq!(shelf.faults(), [""; 0]);
    let graph = shelf.at("unet/model.onnx");
    let good = fs::read(&graph).unwrap();
    let mut bad = good.clone();
    // Somewhere in the weights: no graph is malformed by it.
    bad[good.len() / 2] ^= 0x10;
    fs::write(&graph, bad).unwrap();
    assert_eq!(shelf.faults(), ["changed  unet/model.onnx"]);
    fs::write(&graph, good).unwrap();
    fs::write(shelf.at("unet/model.onnx_data"), "").unwrap();
    assert_eq!(shelf.faults(), ["extra    unet/model.onnx_data"]);
    fs::remove_file(shelf.at("unet/model.onnx_data")).unwrap();
    fs::remove_file(shelf.at("diffused.json")).unwrap();
    assert_eq!(shelf.faults(), ["missing  diffused.json"]);
}

#[test]
fn a_graph_that_broke_off_is_told_even_if_the_list_agrees() {
    let shelf = Shelf::new();
    let graph = shelf.at("vae_decoder/model.onnx");
    let length = fs::metadata(&graph).unwrap().len();
    fs::File::options().write(true).open(&graph).unwrap().set_len(length / 2).unwrap();
    let faults = shelf.faults();
    assert_eq!(faults[0], "changed  vae_decoder/model.onnx");
    assert!(faults[1].starts_with("unsound  ") && faults[1].contains("it must be an ONNX model"), "{faults:?}");
    // Half a model is no state to be written down.
    let before = fs::read(shelf.at("SHA256SUMS")).unwrap();
    let output = shelf.run(&["verify", "shapes", "--write"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(complaint(&output).contains("no list was written"), "{}", complaint(&output));
    assert_eq!(fs::read(shelf.at("SHA256SUMS")).unwrap(), before);
}

#[test]
fn a_folder_without_a_list_is_not_verified_until_one_is_made() {
    let shelf = Shelf::new();
    fs::remove_file(shelf.at("SHA256SUMS")).unwrap();
    let faults = shelf.faults();
    assert!(faults.len() == 1 && faults[0].starts_with("unlisted  there is no SHA256SUMS"), "{faults:?}");
    let output = shelf.run(&["verify", "shapes", "--write"]);
    assert_eq!(said(&output), "shapes: SHA256SUMS now lists 17 files, 5 graphs are whole\n");
    assert_eq!(fs::read(shelf.at("SHA256SUMS")).unwrap(), fs::read(root().join("models/shapes/SHA256SUMS")).unwrap());
    assert_eq!(shelf.faults(), [""; 0]);
}

#[test]
fn a_list_that_is_none_or_leads_out_of_the_folder_is_refused() {
    let shelf = Shelf::new();
    let good = fs::read_to_string(shelf.at("SHA256SUMS")).unwrap();
    let digest = "0".repeat(64);
    let lists: [(Vec<u8>, &str); 5] = [
        (Vec::new(), "it must list the folder's files, got none"),
        (vec![0xff, 0xfe, b'\n'], "line 1 must be UTF-8"),
        (format!("{good}{digest}  ../../secret\n").into(), "line 18 must name another file of the folder"),
        (format!("{good}{digest}  /etc/hostname\n").into(), "line 18 must name another file of the folder"),
        (format!("{good}all of it\n").into(), "line 18 must be a SHA-256 digest"),
    ];
    for (list, reason) in lists {
        fs::write(shelf.at("SHA256SUMS"), list).unwrap();
        let faults = shelf.faults();
        assert!(faults.len() == 1 && faults[0].starts_with("unread ") && faults[0].contains(reason), "{faults:?}");
    }
    fs::write(shelf.at("SHA256SUMS"), good).unwrap();
    assert_eq!(shelf.faults(), [""; 0]);
}

#[test]
fn a_file_that_is_a_link_out_of_the_folder_is_none_of_it() {
    let shelf = Shelf::new();
    let outside = shelf.0.path().join("config.json");
    fs::rename(shelf.at("unet/config.json"), &outside).unwrap();
    symlink(&outside, shelf.at("unet/config.json")).unwrap();
    let faults = shelf.faults();
    assert!(faults.len() == 1 && faults[0].starts_with("unfit    unet/config.json: it is a link out of"), "{faults:?}");
}

#[test]
fn names_are_held_against_the_folders_and_are_no_paths() {
    let shelf = Shelf::new();
    shelf.add("spare");
    for name in ["other", "../shapes", "shapes/", "./shapes", "", shelf.at("").to_str().unwrap()] {
        for verb in ["show", "verify"] {
            let output = shelf.run(&[verb, name]);
            assert_eq!(output.status.code(), Some(64), "{verb} {name:?}");
            assert!(complaint(&output).contains("there is: shapes, spare"), "{}", complaint(&output));
        }
    }
}

#[test]
fn a_folder_of_models_that_is_not_there_is_told() {
    for words in [&["list"][..], &["show", "shapes"], &["verify", "shapes"]] {
        let output = run(&[&["models"], words, &["--models", "/nowhere/models"]].concat());
        assert_eq!(output.status.code(), Some(74), "{words:?}");
        assert!(complaint(&output).contains("the models' folder /nowhere/models cannot be read"), "{output:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let output = run(&["models", "list", "--models", empty.path().to_str().unwrap()]);
    assert_eq!(said(&output), format!("no model in {}\n", empty.path().display()));
}

#[test]
fn the_list_has_a_line_a_model_also_for_one_that_is_broken() {
    let shelf = Shelf::new();
    for name in ["broken", "headless", ".hidden"] {
        shelf.add(name);
    }
    fs::remove_file(shelf.0.path().join("broken/unet/config.json")).unwrap();
    fs::remove_file(shelf.0.path().join("headless/model_index.json")).unwrap();
    fs::create_dir(shelf.0.path().join("lost+found")).unwrap();
    let text = said(&shelf.run(&["list"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("NAME"), "{text}");
    assert!(lines[1].starts_with("broken ") && lines[1].ends_with("unet/config.json: the file is missing"), "{text}");
    assert!(lines[2].ends_with("model_index.json: the file is missing"), "{text}");
    assert!(lines[3].starts_with("shapes ") && lines[3].contains(" sd1 ") && lines[3].contains(" fits, "), "{text}");
    let list = shelf.list();
    assert_eq!(list["models"][2]["modes"], Value::from(["text", "image", "inpaint"].map(Value::from).to_vec()));
    assert_eq!((&list["models"][2]["family"], &list["models"][2]["precision"]), (&"sd1".into(), &"fp16".into()));
    assert!(list["models"][0]["fault"].as_str().unwrap().contains("the file is missing"));
    assert_eq!(list["models"][2]["default"], Value::from(false), "none of three is the default");
}

#[test]
fn a_model_that_is_alone_or_configured_is_the_default() {
    let shelf = Shelf::new();
    assert_eq!(shelf.list()["models"][0]["default"], Value::from(true));
    shelf.add("spare");
    let config = shelf.0.path().join("diffused.toml");
    fs::write(&config, format!("[models]\ndir = '{}'\ndefault = 'spare'", shelf.0.path().display())).unwrap();
    let output = run(&["models", "list", "--config", config.to_str().unwrap()]);
    assert!(said(&output).contains("\nspare (default)"), "{output:?}");
}

#[test]
fn a_model_that_does_not_fit_the_memory_is_told_with_the_numbers() {
    let shelf = Shelf::new();
    let file = shelf.0.path().join("diffused.toml");
    let with = |memory: &str, verb: &[&str]| {
        let text = format!("[models]\ndir = '{}'\n[engine]\nmemory = '{memory}'", shelf.0.path().display());
        fs::write(&file, text).unwrap();
        run(&[verb, &["--config", file.to_str().unwrap()]].concat())
    };
    let output = with("1MB", &["models", "list"]);
    assert!(said(&output).contains("does not fit, 1.0 MB for 6.5 MB"), "{output:?}");
    let reason = "the model does not fit the memory";
    let numbers = "its largest graph has 6.5 MB of weights, and there are 1.0 MB for it";
    for verb in [&["models", "list"][..], &["models", "show", "shapes"], &["check"]] {
        let output = with("1MB", verb);
        assert!(output.status.success(), "{verb:?} {output:?}");
        assert!(complaint(&output).contains(reason) && complaint(&output).contains(numbers), "{verb:?} {output:?}");
    }
    let output = with("10MB", &["models", "list"]);
    assert!(said(&output).contains("in turns, 10.0 MB for 13.6 MB"), "{output:?}");
    assert_eq!(complaint(&output), "");
    assert_eq!(complaint(&with("1GB", &["check"])), "");
}

#[test]
fn show_tells_graphs_adapters_and_the_state_of_the_list() {
    let shelf = Shelf::new();
    copy(&root().join("models/adapters"), &shelf.0.path().join("adapters"));
    let output = shelf.run(&["show", "shapes", "--json"]);
    assert!(output.status.success(), "{}", complaint(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["graphs"].as_array().unwrap().len(), 5);
    assert_eq!(told["graphs"][1]["file"], Value::from("unet/model.onnx"));
    assert_eq!((&told["width"], &told["multiple"], &told["steps"]), (&64.into(), &16.into(), &20.into()));
    assert_eq!((&told["prediction_type"], &told["reuse"]), (&"epsilon".into(), &Value::Null));
    let adapters = told["adapters"].as_array().unwrap();
    assert!(adapters.len() == 5 && adapters.iter().all(|adapter| adapter["fits"] == true), "{adapters:?}");
    assert_eq!(told["manifest"], serde_json::json!({"files": 17, "faults": 0}));
    fs::write(shelf.at("notes.txt"), "").unwrap();
    let text = said(&shelf.run(&["show", "shapes"]));
    assert!(text.contains("SHA256SUMS lists 17 files, 1 are missing, extra or unfit"), "{text}");
    assert!(text.contains("adapter    lora outline: fits\n"), "{text}");
}

#[test]
fn a_folder_that_is_prepared_keeps_its_list_true_and_confirms_nothing_else() {
    let shelf = Shelf::new();
    let prepare = || run(&["models", "prepare", shelf.at("").to_str().unwrap(), "--reuse"]);
    assert!(prepare().status.success());
    assert_eq!(shelf.faults(), [""; 0]);
    let told: Value = serde_json::from_slice(&shelf.run(&["show", "shapes", "--json"]).stdout).unwrap();
    assert!(told["reuse"].as_u64().is_some_and(|layers| layers > 0), "{told}");
    assert_eq!(told["graphs"][1]["file"], Value::from("unet/full.onnx"));
    fs::write(shelf.at("diffused.json"), "{}").unwrap();
    assert!(prepare().status.success());
    assert_eq!(shelf.faults(), ["changed  diffused.json"]);
    // Without a list it is nobody's to make here.
    fs::remove_file(shelf.at("SHA256SUMS")).unwrap();
    assert!(prepare().status.success());
    assert!(!shelf.at("SHA256SUMS").exists());
}

#[test]
fn a_folder_that_is_imported_has_a_list() {
    let shelf = Shelf::new();
    let toy = Family::named("sd1").unwrap();
    let checkpoint = root().join("tests/golden/checkpoints/sd1.safetensors").display().to_string();
    let like = toy.folder().to_str().unwrap();
    // The second one's template has a list of its own, which is not the new folder's.
    let other = root().join("models/shapes/SHA256SUMS");
    for (name, like) in [("new", like), ("newer", "new")] {
        let output = shelf.run(&["import", &checkpoint, "--name", name, "--like", like]);
        assert!(output.status.success(), "{}", complaint(&output));
        let output = shelf.run(&["verify", name]);
        assert_eq!(complaint(&output), "");
        assert!(said(&output).contains("files are as SHA256SUMS says"), "{output:?}");
        fs::copy(&other, shelf.0.path().join(name).join("SHA256SUMS")).unwrap();
    }
}
