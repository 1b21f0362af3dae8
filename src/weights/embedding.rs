//! Textual inversion: the vectors that stand for a new word, in every layout that people share.

use std::io::Cursor;

use ndarray::{Array2, Axis, Ix2};

use super::pickle::{self, Value};
use super::{Safetensors, Tensor, WeightsError, card, safetensors};

/// A text encoder reads 75 tokens at a time, and a word is never cut.
const MOST_VECTORS: usize = 75;

/// The names of the first and the second encoder's vectors: those of the web UIs and of diffusers' training script, then
/// those of an older one.
const PAIRS: [[&str; 2]; 2] = [["clip_l", "clip_g"], ["text_encoders_0", "text_encoders_1"]];

/// The vectors of a new word: 1 to 75 for each text encoder of the model, equally many.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    vectors: Vec<Array2<f32>>,
}

impl Embedding {
    /// Reads an embedding; the layout is told from the bytes.
    ///
    /// Known are the web UI's `.pt` (`string_to_param`), diffusers' and kohya's single tensor under any name in `.bin`, `.pt`
    /// and `.safetensors`, SDXL's two tensors `clip_l` and `clip_g`, and the web UI's PNG card with its text chunk.
    /// Sources: `modules/textual_inversion/textual_inversion.py` of AUTOMATIC1111's web UI, `loaders/textual_inversion.py` of
    /// diffusers.
    pub fn parse(file: &[u8]) -> Result<Self, WeightsError> {
        let tensors = if safetensors::is_start(file) {
            of_safetensors(file)?
        } else if card::is_picture(file) {
            vec![("TORCHTENSOR".to_owned(), card::tensor(file)?)]
        } else {
            of_value(pickle::load(file)?)?
        };
        Self::of(&tensors)
    }

    /// The vectors, [vectors, width], for the first text encoder and, if the embedding is for two, for the second.
    pub fn vectors(&self) -> &[Array2<f32>] {
        &self.vectors
    }

    /// The width of each text encoder that the embedding is made for.
    pub fn widths(&self) -> Vec<usize> {
        self.vectors.iter().map(Array2::ncols).collect()
    }

    /// How many vectors, and thus tokens, the word has.
    pub fn count(&self) -> usize {
        self.vectors.first().map_or(0, Array2::nrows)
    }

    fn of(tensors: &[(String, Tensor)]) -> Result<Self, WeightsError> {
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        let chosen = chosen(&names)?;
        let tensors = chosen.iter().filter_map(|name| tensors.iter().find(|(own, _)| own == name));
        let vectors = tensors.map(matrix).collect::<Result<Vec<_>, _>>()?;
        match vectors.iter().map(Array2::nrows).collect::<Vec<_>>()[..] {
            [first, second] if first != second => Err(WeightsError::Malformed(format!(
                "both encoders must get equally many vectors, got {first} and {second}"
            ))),
            _ => Ok(Self { vectors }),
        }
    }
}

/// The names of the tensors that count. An error unless these are one or a pair.
fn chosen<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, WeightsError> {
    let named = |name: &str| names.iter().copied().find(|own| *own == name);
    let pair = PAIRS.iter().find_map(|[first, second]| Some(vec![named(first)?, named(second)?]));
    pair.or_else(|| <[&str; 1]>::try_from(names).ok().map(Vec::from)).ok_or_else(|| {
        let message = format!("an embedding must be one tensor, or clip_l and clip_g, got {} tensors", names.len());
        WeightsError::Malformed(message)
    })
}

/// The tensors that count; no other is read, nor one of a wrong shape.
fn of_safetensors(file: &[u8]) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let mut file = Safetensors::open(Cursor::new(file))?;
    let names: Vec<&str> = file.names().collect();
    let chosen: Vec<String> = chosen(&names)?.into_iter().map(str::to_owned).collect();
    for name in &chosen {
        check_shape(name, file.shape(name).unwrap_or_default())?;
    }
    chosen.into_iter().map(|name| file.read(&name).map(|tensor| (name, tensor))).collect()
}

fn of_value(value: Value) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let entries = match value {
        Value::Tensor(tensor) => return Ok(vec![("tensor".to_owned(), tensor)]),
        Value::Dict(entries) => entries,
        _ => return Err(WeightsError::malformed("an embedding must be a dictionary or a tensor")),
    };
    let (inner, outer): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key.as_text() == Some("string_to_param"));
    let entries = match inner.into_iter().next() {
        Some((_, Value::Dict(entries))) => entries,
        Some(_) => return Err(WeightsError::malformed("string_to_param must be a dictionary")),
        None => outer,
    };
    let tensors = entries.into_iter().map(|entry| match entry {
        (Value::Text(name), Value::Tensor(tensor)) => Ok((name, tensor)),
        (name, _) => {
            let name = name.as_text().unwrap_or("a name that is no text");
            Err(WeightsError::Malformed(format!("an embedding must hold tensors by name, got {name:?} with no tensor")))
        }
    });
    tensors.collect()
}

fn matrix((name, tensor): &(String, Tensor)) -> Result<Array2<f32>, WeightsError> {
    check_shape(name, tensor.shape())?;
    let values = tensor.to_f32(name)?;
    let rows = if values.ndim() == 1 { values.insert_axis(Axis(0)) } else { values };
    rows.into_dimensionality::<Ix2>().map_err(|error| WeightsError::malformed(error.to_string()))
}

fn check_shape(name: &str, shape: &[usize]) -> Result<(), WeightsError> {
    match *shape {
        [width] | [1..=MOST_VECTORS, width] if width > 0 => Ok(()),
        _ => {
            let expected = format!("[width] or [1 to {MOST_VECTORS}, width]");
            Err(WeightsError::Shape { name: name.to_owned(), expected, got: shape.to_vec() })
        }
    }
}

#[cfg(test)]
mod tests {
    use ::safetensors::tensor::{Dtype as Kind, TensorView, serialize};

    use super::*;
    use crate::weights::testing::{saved, tensor, text};

    fn counted(vectors: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((vectors, width), |(row, column)| (row * width + column) as f32 / 4.0)
    }

    fn safetensors(tensors: &[(&str, Kind, &[usize])]) -> Vec<u8> {
        let zeros = vec![0; 1 << 16];
        let view = |kind: Kind, shape: &[usize]| {
            let bytes = shape.iter().product::<usize>() * kind.bitsize() / 8;
            TensorView::new(kind, shape.to_vec(), &zeros[..bytes]).unwrap()
        };
        serialize(tensors.iter().map(|(name, kind, shape)| (*name, view(*kind, shape))), None).unwrap()
    }

    fn refusal(tensors: &[(&str, Kind, &[usize])]) -> String {
        Embedding::parse(&safetensors(tensors)).unwrap_err().to_string()
    }

    #[test]
    fn every_layout_that_people_share_gives_its_vectors() {
        macro_rules! files {
            ($($name:literal),*) => { [$(($name, include_bytes!(concat!("../../tests/golden/weights/", $name)).as_slice())),*] };
        }
        let two = files!("web-ui.pt", "first-script.pt", "learned_embeds.safetensors", "kohya.safetensors", "card.png");
        for (name, file) in two {
            let embedding = Embedding::parse(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(embedding.vectors(), [counted(2, 3)], "{name}");
        }
        let [(_, one), (_, pair)] = files!("learned_embeds.bin", "sdxl.safetensors");
        assert_eq!(Embedding::parse(one).unwrap().vectors(), [counted(1, 3)]);
        let pair = Embedding::parse(pair).unwrap();
        assert_eq!(pair.vectors(), [counted(2, 3), counted(2, 5)], "clip_l comes first");
        assert_eq!((pair.widths(), pair.count()), (vec![3, 5], 2));
    }

    #[test]
    fn what_is_no_embedding_is_refused() {
        let one: &[usize] = &[1, 4];
        assert!(refusal(&[("a", Kind::F32, one), ("b", Kind::F32, one)]).ends_with("clip_l and clip_g, got 2 tensors"));
        let many: Vec<String> = (0..10_000).map(|n| format!("unet.{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), Kind::F32, one)).collect();
        assert!(refusal(&many).ends_with("got 10000 tensors"));
        let unequal = refusal(&[("clip_l", Kind::F32, &[1, 4]), ("clip_g", Kind::F32, &[2, 4])]);
        assert_eq!(unequal, "both encoders must get equally many vectors, got 1 and 2");
        assert!(refusal(&[]).ends_with("got 0 tensors"));
        let long = refusal(&[("a", Kind::F32, &[76, 4])]);
        assert_eq!(long, "the tensor \"a\" must have the shape [width] or [1 to 75, width], got [76, 4]");
        let shapes: [&[usize]; 5] = [&[], &[0], &[0, 4], &[1, 0], &[1, 1, 4]];
        for shape in shapes {
            assert!(refusal(&[("a", Kind::F32, shape)]).contains("must have the shape"), "{shape:?}");
        }
        assert!(refusal(&[("a", Kind::I32, one)]).ends_with("must hold floating point numbers, got I32"));
    }

    #[test]
    fn a_tensor_that_does_not_count_may_be_of_any_shape() {
        let pair =
            [("clip_g", Kind::F32, [1, 5].as_slice()), ("clip_l", Kind::F32, &[1, 3]), ("x", Kind::U64, &[9, 9])];
        assert_eq!(Embedding::parse(&safetensors(&pair)).unwrap().widths(), [3, 5]);
    }

    #[test]
    fn a_vector_with_no_number_in_it_is_refused() {
        let view = TensorView::new(Kind::F16, vec![2], &[0, 0x3c, 0, 0x7e]).unwrap();
        let error = Embedding::parse(&serialize([("<cat>", view)], None).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the tensor \"<cat>\" has a value that is not a number: NaN at index 1");
    }

    #[test]
    fn a_pickle_of_something_else_is_refused() {
        let number = [b"}".to_vec(), text("step"), b"K\x01s.".to_vec()].concat();
        let list = b"].".to_vec();
        let nested = [b"}".to_vec(), text("string_to_param"), b"Ns.".to_vec()].concat();
        for program in [number, list, nested] {
            assert!(matches!(Embedding::parse(&saved(&program, &[])), Err(WeightsError::Malformed(_))));
        }
        let bare = [tensor("HalfStorage", "0", 0, &[2], &[1]), vec![b'.']].concat();
        assert_eq!(
            Embedding::parse(&saved(&bare, &[("0", &[0; 4])])).unwrap().vectors(),
            [Array2::<f32>::zeros((1, 2))]
        );
    }

    #[test]
    fn a_picture_without_an_embedding_or_with_a_broken_one_is_refused() {
        let card = include_bytes!("../../tests/golden/weights/card.png");
        let end = card.windows(4).position(|kind| kind == b"IDAT").unwrap() - 8;
        for length in 8..end {
            assert!(Embedding::parse(&card[..length]).is_err(), "{length} bytes were enough");
        }
        let webp = Embedding::parse(b"RIFF\0\0\0\0WEBPVP8L").unwrap_err().to_string();
        assert_eq!(webp, "a picture without the text sd-ti-embedding is not supported");
    }
}
