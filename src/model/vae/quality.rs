//! How good tiles and previews are, on real autoencoders; and how near the tiles are to diffusers' own.

use std::path::Path;

use ndarray::{Array2, Array4, ArrayView4, Axis, Slice, concatenate, s};
use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::diffusion::{Latents, Noise};
use crate::model::Folder;
use crate::model::testing::{Notes, engine, golden};

/// Roundings of float32 sums, and of the reference to five digits.
const SAME: f32 = 1e-4;

struct Vae {
    encoder: Encoder,
    decoder: Decoder,
    scale: f32,
}

impl Vae {
    /// A model's autoencoder, with tiles of so many pixels a side.
    fn load(path: &Path, tile: u32) -> Self {
        let mut folder = Folder::open(path).unwrap();
        folder.vae.tile = tile;
        let engine = engine();
        let encoder = Encoder::load(&engine, &folder).unwrap().unwrap();
        Self { encoder, decoder: Decoder::load(&engine, &folder).unwrap(), scale: folder.vae.scaling_factor }
    }

    fn toy(tile: u32) -> Self {
        Self::load(&golden("toy"), tile)
    }

    fn shapes(tile: u32) -> Self {
        Self::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes"), tile)
    }

    fn decoded(&self, latents: &Latents) -> Planes {
        self.decoder.decode(latents, &Notes::default()).unwrap()
    }

    fn mean(&self, planes: &Planes) -> Latents {
        self.encoder.encode(planes, &Notes::default()).unwrap().mode().clone()
    }
}

/// Every so many values of the last two axes.
fn kept(values: ArrayView4<'_, f32>, step: isize) -> Array4<f32> {
    values.slice(s![.., .., ..;step, ..;step]).to_owned()
}

fn reference(key: &str) -> Array4<f32> {
    let whole: Value = serde_json::from_slice(&std::fs::read(golden("tiles.json")).unwrap()).unwrap();
    let planes: Vec<Vec<Vec<f32>>> = serde_json::from_value(whole[key].clone()).unwrap();
    let shape = [1, planes.len(), planes[0].len(), planes[0][0].len()];
    Array4::from_shape_vec(shape, planes.into_iter().flatten().flatten().collect()).unwrap()
}

/// The largest difference among the places whose row is below one of the limits and whose column is below the other.
fn difference(a: &Array4<f32>, b: &Array4<f32>, limits: [usize; 2]) -> f32 {
    assert_eq!(a.dim(), b.dim());
    let inside = |row, column| (row < limits[0] && column < limits[1]) || (column < limits[0] && row < limits[1]);
    let differences = a.indexed_iter().zip(b).filter(|(((_, _, row, column), _), _)| inside(*row, *column));
    differences.map(|((_, a), b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn up_to_where_the_tiles_differ_they_are_blended_as_diffusers_does() {
    let latents = Noise::new(&[7]).draw([4, 16, 16]);
    let picture = Noise::new(&[7]).draw([3, 128, 128]);
    let run = |tile| {
        let vae = Vae::toy(tile);
        (kept(vae.decoded(&(&latents * vae.scale)).view(), 3), vae.mean(&picture) / vae.scale)
    };
    let (decoded, mean) = run(64);
    // Where only two tiles meet: the first and the second begin alike.
    let (pixels, latents_) = ([48 / 3, 64 / 3], [6, 8]);
    assert!(difference(&decoded, &reference("decoded"), pixels) < SAME);
    assert!(difference(&mean, &reference("mean"), latents_) < SAME);
    // The control: tiles of another size.
    let (decoded, mean) = run(72);
    assert!(difference(&decoded, &reference("decoded"), pixels) > 100.0 * SAME);
    assert!(difference(&mean, &reference("mean"), latents_) > 100.0 * SAME);
}

#[test]
fn a_picture_of_one_tile_is_the_same_to_the_bit() {
    let latents = Noise::new(&[7]).draw([4, 8, 8]);
    let (whole, tiled) = (Vae::shapes(512), Vae::shapes(64));
    let picture = whole.decoded(&latents);
    assert_eq!(picture, tiled.decoded(&latents));
    assert_eq!(whole.mean(&picture), tiled.mean(&picture));
}

/// Final latents of a run of the bundled model, which `tests/golden/pictures.py` stored.
fn run(name: &str) -> Latents {
    let bytes = std::fs::read(golden(&format!("pictures/shapes/{name}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor("0.latents").unwrap();
    let values = view.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    Latents::from_shape_vec(<[usize; 4]>::try_from(view.shape()).unwrap(), values.collect()).unwrap()
}

/// Four pictures of the bundled model, in two rows.
fn mosaic() -> Latents {
    let [a, b, c, d] = ["ddim", "ddim-negative", "dpmpp_2m", "ddim-eta"].map(run);
    let row = |left: &Latents, right: &Latents| concatenate(Axis(3), &[left.view(), right.view()]).unwrap();
    concatenate(Axis(2), &[row(&a, &b).view(), row(&c, &d).view()]).unwrap()
}

fn rms(values: &Array4<f32>) -> f32 {
    values.mapv(|value| value * value).mean().unwrap().sqrt()
}

#[test]
fn the_seams_of_the_bundled_model_stay_small() {
    let (whole, tiled) = (Vae::shapes(512), Vae::shapes(64));
    for (name, latents, most) in [("wide", run("ddim-wide"), [0.012, 0.04]), ("mosaic", mosaic(), [0.04, 0.15])] {
        let (one, many) = [&whole, &tiled].map(|vae| vae.decoded(&latents).mapv(|value| value.clamp(-1.0, 1.0))).into();
        let decode = rms(&(&one - &many));
        let encode = rms(&(whole.mean(&one) - tiled.mean(&one)));
        assert!(decode < most[0] && encode < most[1], "{name}: decode {decode}, encode {encode}");
        // The control: without the overlap, the second tile begins abruptly where the first ends.
        let half = |from| latents.slice_axis(Axis(3), Slice::from(from..from + 8)).to_owned();
        let abrupt = [half(0), half(8)].map(|half| tiled.decoded(&half).mapv(|value| value.clamp(-1.0, 1.0)));
        let abrupt = concatenate(Axis(3), &[abrupt[0].view(), abrupt[1].view()]).unwrap();
        assert!(rms(&(&one - &abrupt)) > 1.2 * decode, "{name}: {}", rms(&(&one - &abrupt)));
    }
}

/// The share of the variance of the pictures' colours, averaged over each latent's area, that previews explain.
fn explained(vae: &Vae, previews: impl Fn(&Latents) -> Planes) -> f32 {
    let runs = ["ddim", "ddim-negative", "ddim-wide", "ddim-eta", "dpmpp_2m", "euler_ancestral"].map(run);
    let both = runs.iter().map(|latents| {
        let small = averaged(&vae.decoded(latents), latents.dim().2);
        (previews(latents), small)
    });
    let (previews, pictures): (Vec<_>, Vec<_>) =
        both.map(|(preview, small)| (colours(preview), colours(small))).unzip();
    let stacked =
        |all: &[Array2<f32>]| concatenate(Axis(0), &all.iter().map(|each| each.view()).collect::<Vec<_>>()).unwrap();
    let (previews, pictures) = (stacked(&previews), stacked(&pictures));
    let spread = &pictures - &pictures.mean_axis(Axis(0)).unwrap();
    1.0 - (previews - pictures).mapv(|error| error * error).sum() / spread.mapv(|value| value * value).sum()
}

/// One row a pixel.
fn colours(planes: Planes) -> Array2<f32> {
    let values: Vec<f32> = planes.permuted_axes([0, 2, 3, 1]).iter().copied().collect();
    Array2::from_shape_vec([values.len() / 3, 3], values).unwrap()
}

/// What is seen of `planes`, averaged to a picture of so many rows.
fn averaged(planes: &Planes, rows: usize) -> Planes {
    let (batch, channels, height, width) = planes.dim();
    let side = height / rows;
    Array4::from_shape_fn([batch, channels, rows, width / side], |(entry, channel, row, column)| {
        let area = s![entry, channel, row * side..(row + 1) * side, column * side..(column + 1) * side];
        planes.slice(area).mapv(|value| value.clamp(-1.0, 1.0)).mean().unwrap()
    })
}

#[test]
fn previews_of_the_bundled_model_show_its_pictures() {
    let vae = Vae::shapes(512);
    let preview = vae.decoder.preview(4, &Notes::default()).unwrap();
    let share = explained(&vae, |latents| preview.planes(latents));
    // The best that any linear projection can do here is 0.59: three latents across a shape are far from linear.
    assert!(share > 0.48, "{share}");
    // The controls: channels in another order, and no look at the latents at all.
    let mut wrong = preview.clone();
    wrong.factors.swap(0, 1);
    let share = explained(&vae, |latents| wrong.planes(latents));
    assert!(share < 0.2, "{share}");
    let flat = explained(&vae, |latents| preview.planes(&latents.mapv(|_| 0.0)));
    assert!(flat < 0.1, "{flat}");
}
