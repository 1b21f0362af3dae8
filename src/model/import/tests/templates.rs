//! The built-in templates at their real size, against headers of checkpoints: no weight has a value here.

use super::*;
use crate::weights::names::{Blocks, Checkpoint, Part, Source};

/// By these weights the layout of a family's text encoders is told, and of its other parts.
const MARKS: [(&str, &[&str]); 4] = [
    ("sd1", &["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"]),
    ("sd1-inpaint", &["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"]),
    ("sd2", &["cond_stage_model.model.token_embedding.weight"]),
    (
        "sdxl",
        &[
            "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
            "conditioner.embedders.1.model.token_embedding.weight",
        ],
    ),
];
const OTHERS: [&str; 2] =
    ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.mid.block_1.conv1.weight"];

type Shapes = BTreeMap<String, Vec<usize>>;

/// The keys of a checkpoint of that family in the original layout, with the shapes of their tensors.
fn shapes(slots: &[Slot], marks: &[&str]) -> Shapes {
    let checkpoint = Checkpoint::of(marks.iter().chain(&OTHERS).copied()).unwrap();
    let of = |part: Part| Blocks::of(slots.iter().filter(|slot| slot.part == part).map(|slot| slot.name.as_str()));
    let blocks: BTreeMap<Part, Blocks> = slots.iter().map(|slot| (slot.part, of(slot.part))).collect();
    let mut shapes = Shapes::new();
    for slot in slots {
        let source = checkpoint.source(slot.part, &slot.name, &blocks[&slot.part]).expect(&slot.name);
        let mut shape = slot.shape.clone();
        match &source {
            Source::Whole(_) => {}
            Source::Rows { .. } => shape[0] *= 3,
            Source::Transposed(_) => shape.reverse(),
            Source::Squeezed(_) => shape.resize(4.min(shape.len() + 2 * (shape.len() / 2)), 1),
        }
        let other = shapes.insert(source.key().to_owned(), shape.clone());
        assert!(other.is_none_or(|other| other == shape), "{} has two shapes", source.key());
    }
    shapes
}

/// A file of these tensors, all of it a hole but for the header.
fn hollow(place: &Path, shapes: &Shapes) -> Shelf {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (key, shape) in shapes {
        let begin = end;
        end += shape.iter().product::<usize>() as u64 * 2;
        let entry = serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [begin, end]});
        header.insert(key.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let path = place.join("hollow.safetensors");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    Shelf::open(&path).unwrap()
}

#[test]
fn every_builtin_template_takes_a_checkpoint_of_its_family() {
    let place = tempfile::tempdir().unwrap();
    for (family, marks) in MARKS {
        for float in [Float::F32, Float::F16] {
            let slots = Builtin::open(family, float).unwrap().slots;
            let shelf = hollow(place.path(), &shapes(&slots, marks));
            assert_eq!(Findings::of(&shelf).unwrap().family(&shelf).unwrap(), family);
            let (count, plan) = (slots.len(), Plan::of(slots, &shelf).unwrap());
            assert_eq!((plan.pours.len(), plan.unknown.len()), (count, 0), "{family} {float:?}");
        }
    }
}

#[test]
fn a_builtin_template_notices_one_wrong_name_and_one_wrong_shape() {
    let place = tempfile::tempdir().unwrap();
    let (family, marks) = MARKS[3];
    let slots = Builtin::open(family, Float::F16).unwrap().slots;
    let right = shapes(&slots, marks);
    let key = "model.diffusion_model.output_blocks.8.0.skip_connection.weight";
    let fault = |shapes: &Shapes| Plan::of(slots.clone(), &hollow(place.path(), shapes)).unwrap_err().to_string();
    let mut wrong = right.clone();
    let shape = wrong.remove(key).unwrap();
    wrong.insert(format!("{key}s"), shape.clone());
    assert!(fault(&wrong).ends_with("it lacks up_blocks.2.resnets.2.conv_shortcut.weight"), "{}", fault(&wrong));
    let mut wrong = right.clone();
    wrong.insert(format!("{key}s"), shape);
    assert!(fault(&wrong).ends_with(&format!("the template has no place for {key}s")), "{}", fault(&wrong));
    let mut wrong = right;
    wrong.insert(key.to_owned(), vec![320, 641, 1, 1]);
    assert!(fault(&wrong).ends_with("got [320, 641, 1, 1]"), "{}", fault(&wrong));
}
