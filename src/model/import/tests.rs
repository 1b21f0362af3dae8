//! Toy checkpoints, made by `tests/golden/checkpoint.py`, poured back into the graphs that their weights come from.

use std::fs;
use std::io::Write;

use tempfile::TempDir;

use super::*;
use crate::model::MANIFEST;

mod kinds;
mod templates;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// A place for models, and in it the whole folder of a toy family.
struct Place {
    root: TempDir,
}

impl Place {
    fn with(family: &str) -> Self {
        let this = Self { root: tempfile::tempdir().unwrap() };
        let (toy, golden) = (this.path().join("toy"), Path::new(GOLDEN));
        copy(&golden.join("families").join(family).join("model"), &toy);
        let shared = fs::read(golden.join("families").join(family).join("shared.json")).unwrap();
        for (part, source) in serde_json::from_slice::<BTreeMap<String, String>>(&shared).unwrap() {
            copy(&golden.join(source), &toy.join(part));
        }
        this
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn order(&self, weights: impl AsRef<Path>, like: &str, name: &str) -> Order {
        let (weights, name) = (Path::new(GOLDEN).join("checkpoints").join(weights), name.to_owned());
        let models = self.path().to_owned();
        Order { weights, like: Some(like.to_owned()), name, precision: None, prediction: None, models }
    }

    /// Why an import of `weights` comes to nothing, without the folders' own paths. Nothing may be left of it.
    fn fault(&self, order: &Order) -> String {
        let before = files(self.path());
        let error = import(order).unwrap_err().to_string();
        assert_eq!(files(self.path()).len(), before.len(), "something is left of it");
        error.replace(&format!("{}/", self.path().display()), "").replace(&format!("{GOLDEN}/checkpoints/"), "")
    }

    /// A checkpoint with other tensors: `change` gets the name, the bytes of the values and the header's entry of each, and
    /// says whether it stays.
    fn changed(&self, checkpoint: &str, change: impl Fn(&str, &mut Vec<u8>, &mut Value) -> bool) -> PathBuf {
        let file = fs::read(Path::new(GOLDEN).join("checkpoints").join(checkpoint)).unwrap();
        let data = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..data]).unwrap();
        let (mut out, mut values) = (serde_json::Map::new(), Vec::new());
        for (name, mut entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let at = |index: usize| data + entry["data_offsets"][index].as_u64().unwrap() as usize;
            let mut bytes = file[at(0)..at(1)].to_vec();
            if change(&name, &mut bytes, &mut entry) {
                entry["data_offsets"] = serde_json::json!([values.len(), values.len() + bytes.len()]);
                values.extend(bytes);
                out.insert(name, entry);
            }
        }
        let (path, header) = (self.path().join("changed.safetensors"), serde_json::to_vec(&out).unwrap());
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        file.write_all(&values).unwrap();
        path
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// All files below a folder, hidden ones too.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => found.extend(files(&entry)),
            false => drop(found.insert(entry.clone(), fs::read(&entry).unwrap())),
        }
    }
    found
}

/// The contents of two folders' graphs and their weights.
fn graphs(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let own = |path: PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    let all = files(folder).into_iter().map(|(path, content)| (own(path), content));
    let is_told = |path: &Path| path.extension().is_some_and(|end| end == "json") || path == Path::new(MANIFEST);
    all.filter(|(path, _)| !is_told(path)).collect()
}

/// The other sign for every number of 32 bits.
fn negate(bytes: &mut [u8]) {
    bytes.iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 0x80);
}

#[test]
fn a_checkpoint_of_each_family_comes_back_as_the_export_it_was_made_from() {
    for (family, checkpoint) in
        [("sd1", "sd1.safetensors"), ("sd2", "sd2.safetensors"), ("sdxl", "sdxl.safetensors"), ("inpaint", "inpaint")]
    {
        let place = Place::with(family);
        // The template must not have the weights already, or a copy of it would pass.
        let toy = place.path().join("toy");
        let reference = graphs(&toy);
        let mut like = "toy".to_owned();
        if checkpoint.ends_with("safetensors") {
            let negated = place.changed(checkpoint, |_, bytes, entry| {
                if entry["dtype"] == "F32" {
                    negate(bytes);
                }
                true
            });
            import(&place.order(negated, "toy", "negated")).unwrap();
            fs::remove_dir_all(&toy).unwrap();
            "negated".clone_into(&mut like);
            let all = graphs(&place.path().join("negated"));
            assert!(reference.iter().filter(|(path, content)| all[*path] != **content).count() > 2, "{family}");
        }
        let report = import(&place.order(checkpoint, &like, "new")).unwrap();
        let new = graphs(&report.folder);
        assert_eq!(reference.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
        for (path, content) in &reference {
            assert!(new[path] == *content, "{family}: {} differs", path.display());
        }
        assert_eq!(report.unknown, Vec::<String>::new(), "{family}");
    }
}

#[test]
fn a_weight_that_the_checkpoint_lacks_is_named() {
    let place = Place::with("sd1");
    let gone = "model.diffusion_model.middle_block.1.proj_in.weight";
    let weights = place.changed("sd1.safetensors", |name, _, _| name != gone);
    assert_eq!(
        place.fault(&place.order(weights, "toy", "new")),
        "changed.safetensors: it lacks mid_block.attentions.0.proj_in.weight"
    );
}

#[test]
fn a_weight_of_another_shape_is_named_with_both_shapes() {
    let place = Place::with("sd1");
    let weights = place.changed("sd1.safetensors", |name, bytes, entry| {
        if name == "model.diffusion_model.input_blocks.0.0.weight" {
            entry["shape"] = serde_json::json!([8, 9, 3, 3]);
            bytes.resize(8 * 9 * 3 * 3 * 4, 0);
        }
        true
    });
    let fault = place.fault(&place.order(weights, "toy", "new"));
    assert!(
        fault.contains("input_blocks.0.0.weight must be [8, 4, 3, 3] for conv_in.weight, got [8, 9, 3, 3]"),
        "{fault}"
    );
}

#[test]
fn a_tensor_that_nobody_knows_is_reported() {
    let place = Place::with("sd1");
    let weights = place.changed("sd1.safetensors", |_, _, _| true);
    let mut file = fs::read(&weights).unwrap();
    // Another name for one that is of no use.
    let at = file.windows(14).position(|window| window == b"alphas_cumprod").unwrap();
    file[at..at + 14].copy_from_slice(b"somethings_els");
    fs::write(&weights, file).unwrap();
    assert_eq!(import(&place.order(weights, "toy", "new")).unwrap().unknown, ["somethings_els"]);
}

#[test]
fn values_that_are_no_numbers_and_files_that_end_early_are_refused() {
    let place = Place::with("sd1");
    let name = "first_stage_model.decoder.conv_out.bias";
    let weights = place.changed("sd1.safetensors", |own, bytes, _| {
        if own == name {
            bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
        true
    });
    let fault = place.fault(&place.order(&weights, "toy", "new"));
    assert_eq!(fault, format!("changed.safetensors: {name} must hold finite numbers, got NaN"));
    let length = fs::metadata(&weights).unwrap().len();
    fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(length - 9).unwrap();
    let error = import(&place.order(&weights, "toy", "new")).unwrap_err();
    assert!(matches!(error, ImportError::Unfit { .. }), "{error}");
}

#[test]
fn weights_that_differ_have_no_place_in_a_template_that_takes_them_for_one() {
    let place = Place::with("sd1");
    let order = place.order("sd1.safetensors", "toy", "new");
    let shelf = Shelf::open(&order.weights).unwrap();
    let slots = Exported::open(&place.path().join("toy")).unwrap().slots;
    let plan = Plan::of(slots, &shelf).unwrap();
    let pair = plan
        .pours
        .windows(2)
        .find(|pair| (&pair[0].slot.file, pair[0].slot.offset) == (&pair[1].slot.file, pair[1].slot.offset));
    let [first, second] = pair.expect("fresh layer norms are all alike") else { unreachable!() };
    let weights = place.changed("sd1.safetensors", |name, bytes, _| {
        if name == second.key {
            bytes[3] ^= 1;
        }
        true
    });
    let fault = place.fault(&Order { weights, ..order });
    let expected = format!("{} and {} must be equal, the template has one place for both", first.key, second.key);
    assert!(fault.ends_with(&expected), "{fault}");
}

#[test]
fn names_that_are_taken_or_would_lead_elsewhere_are_refused() {
    let place = Place::with("sd1");
    for name in ["toy", "../toy", "", ".hidden", "a/b", "_x", "-x", &"x".repeat(65)] {
        let error = import(&place.order("sd1.safetensors", "toy", name)).unwrap_err();
        assert!(matches!(error, ImportError::Asked(_)), "{name}: {error}");
    }
    let fault = place.fault(&place.order("sd1.safetensors", "nothing", "new"));
    assert_eq!(fault, "the template must be one of sd1, sd1-inpaint, sd2, sdxl or an exported folder, got nothing");
    let models = place.path().join("missing");
    let error = import(&Order {
        models,
        like: Some(place.path().join("toy").display().to_string()),
        ..place.order("sd1.safetensors", "", "new")
    });
    assert!(matches!(error, Err(ImportError::Disk { .. })));
}

#[test]
fn what_was_left_of_an_import_that_was_killed_is_removed() {
    let place = Place::with("sd1");
    fs::create_dir_all(place.path().join(".new.partial/unet")).unwrap();
    fs::write(place.path().join(".new.partial/unet/rest"), "x").unwrap();
    let report = import(&place.order("sd1.safetensors", "toy", "new")).unwrap();
    assert!(!report.folder.join("unet/rest").exists() && !place.path().join(".new.partial").exists());
}

#[test]
fn the_checkpoint_says_what_its_output_stands_for_unless_the_caller_does() {
    let place = Place::with("sd2");
    let said = |order: &Order| {
        let folder = import(order).unwrap().folder;
        let config = fs::read(folder.join("scheduler/scheduler_config.json")).unwrap();
        serde_json::from_slice::<Value>(&config).unwrap()["prediction_type"].as_str().unwrap().to_owned()
    };
    assert_eq!(said(&place.order("sd2.safetensors", "toy", "a")), "v_prediction");
    let prediction = Some(Prediction::Epsilon);
    assert_eq!(said(&Order { prediction, ..place.order("sd2.safetensors", "toy", "b") }), "epsilon");
}

#[test]
fn a_toy_fits_no_builtin_template_and_is_told_so() {
    let place = Place::with("sd1");
    let fault = place.fault(&Order { like: None, ..place.order("sd1.safetensors", "", "new") });
    assert!(fault.ends_with("only an exported model of its kind can be the template: give --like FOLDER"), "{fault}");
}
