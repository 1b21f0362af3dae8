//! Both halves at work on miniature graphs: a pixel for each latent; the encoder's latents are red, green, blue, red,
//! their log-variances a hundred times that, and the decoder squeezes three of them.

use ndarray::Array4;
use serde_json::json;

use super::*;
use crate::diffusion::{Latents, Noise};
use crate::job::Stop;
use crate::model::testing::{Miniature, Notes, engine};
use crate::model::{Folder, LoadError, PassError};

fn open(model: &Miniature) -> Folder {
    Folder::open(model.path()).unwrap()
}

/// A miniature with `vae_encoder/model.onnx`; latents are (value - 0.25) * 0.5.
fn with_encoder(graph: &str) -> Miniature {
    Miniature::new().set("vae_decoder/config.json", "shift_factor", json!(0.25)).with("vae_encoder", graph)
}

fn encoder(model: &Miniature) -> Result<Encoder, LoadError> {
    Encoder::load(&engine(), &open(model)).map(Option::unwrap)
}

/// Black, grey and white.
fn planes() -> Planes {
    Array4::from_shape_fn([1, 3, 1, 3], |(.., column)| column as f32 - 1.0)
}

#[test]
fn a_folder_without_an_encoder_has_none() {
    assert!(Encoder::load(&engine(), &open(&Miniature::new())).unwrap().is_none());
}

#[test]
fn an_encoder_gives_scaled_means_and_clamped_deviations() {
    for (graph, error) in [("encoder", 1e-6), ("encoder_f16", 1e-3)] {
        let encoder = encoder(&with_encoder(graph)).unwrap();
        let Posterior::Gaussian { mean, std } = encoder.encode(&planes(), &Notes::default()).unwrap() else {
            unreachable!("{graph} gives parameters")
        };
        assert!(!encoder.samples_itself());
        let near = |got: &Latents, expected: [f32; 3]| {
            let expected = Latents::from_shape_fn([1, 4, 1, 3], |(.., column)| expected[column]);
            assert!(
                got.iter().zip(&expected).all(|(got, wanted)| (got - wanted).abs() <= error * wanted.abs()),
                "{got}"
            );
        };
        near(&mean, [-0.625, -0.125, 0.375]);
        near(&std, [0.5 * (-15.0_f32).exp(), 0.5, 0.5 * 10.0_f32.exp()]);
    }
}

#[test]
fn an_encoder_that_samples_in_its_graph_says_so() {
    let legacy = encoder(&with_encoder("encoder_legacy")).unwrap();
    assert!(legacy.samples_itself());
    assert!(matches!(legacy.encode(&planes(), &Notes::default()).unwrap(), Posterior::Known(_)));
}

#[test]
fn a_tiny_encoder_gives_the_latents_themselves() {
    let model = with_encoder("encoder_tiny")
        .set("vae_decoder/config.json", "_class_name", json!("AutoencoderTiny"))
        .set("vae_decoder/config.json", "scaling_factor", json!(null))
        .set("vae_decoder/config.json", "shift_factor", json!(null));
    let tiny = encoder(&model).unwrap();
    assert!(!tiny.samples_itself());
    let expected = Latents::from_shape_fn([1, 4, 1, 3], |(.., column)| column as f32 - 1.0);
    assert_eq!(tiny.encode(&planes(), &Notes::default()).unwrap(), Posterior::Known(expected));
}

#[test]
fn an_encoder_with_other_ports_says_what_is_missing() {
    let error = encoder(&with_encoder("text_encoder")).err().unwrap().to_string();
    assert!(error.contains("vae_encoder/model.onnx: the graph must have an input sample or images"), "{error}");
    let error = encoder(&with_encoder("classifier")).err().unwrap().to_string();
    assert!(error.ends_with("this version cannot feed the input timestep"), "{error}");
}

#[test]
fn large_pictures_are_coded_in_tiles_and_come_out_the_same() {
    let model = with_encoder("encoder");
    let mut folder = open(&model);
    let picture =
        Array4::from_shape_fn([2, 3, 40, 21], |(b, c, y, x)| ((b + 2 * c + 3 * y + 5 * x) % 17) as f32 / 17.0);
    let run = |folder: &Folder| {
        let (engine, watch) = (engine(), Notes::default());
        let encoder = Encoder::load(&engine, folder).unwrap().unwrap();
        let latents = encoder.encode(&picture, &watch).unwrap().sample(|shape| Noise::new(&[1, 2]).draw(shape));
        let planes = Decoder::load(&engine, folder).unwrap().decode(&latents, &watch).unwrap();
        (planes, watch.heartbeats.into_inner())
    };
    let (whole, passes) = run(&folder);
    assert_eq!((folder.vae.tile, passes), (512, 2));
    folder.vae.tile = 16;
    let (tiled, passes) = run(&folder);
    assert_eq!(passes, 2 * 3 * 2);
    assert!(tiled.iter().zip(&whole).all(|(tiled, whole)| (tiled - whole).abs() < 1e-5));
}

#[test]
fn graphs_for_one_size_take_larger_pictures_in_tiles_of_it() {
    let (engine, watch) = (engine(), Notes::default());
    let model = with_encoder("encoder_batch_1").with("vae_decoder", "decoder_fixed_size");
    let folder = open(&model);
    let picture = Array4::from_shape_fn([2, 3, 9, 6], |(b, c, y, x)| (b + c + y + x) as f32 / 20.0);
    let encoder = Encoder::load(&engine, &folder).unwrap().unwrap();
    let latents = encoder.encode(&picture, &watch).unwrap().mode().clone();
    let planes = Decoder::load(&engine, &folder).unwrap().decode(&latents, &watch).unwrap();
    let error = (planes - picture.mapv(f32::tanh)).mapv(f32::abs);
    assert!(error.iter().all(|error| *error < 1e-6), "{error}");
    // Two pictures of four tiles, the encoder one by one.
    assert_eq!(watch.heartbeats.into_inner(), 8 + 4);
}

#[test]
fn work_on_tiles_can_be_stopped() {
    let model = Miniature::new();
    let mut folder = open(&model);
    folder.vae.tile = 8;
    let watch = Notes { stop_after: Some(3), ..Notes::default() };
    let outcome = Decoder::load(&engine(), &folder).unwrap().decode(&Latents::zeros([1, 4, 64, 64]), &watch);
    assert!(matches!(outcome, Err(PassError::Stopped(Stop::Cancelled))), "{outcome:?}");
    assert!(watch.heartbeats.into_inner() <= 3);
}

#[test]
fn a_small_decoder_for_previews_has_its_own_facts() {
    let model = Miniature::new();
    assert!(Decoder::load_tiny(&engine(), &open(&model)).unwrap().is_none());
    let model = model
        .set("taesd_decoder/config.json", "_class_name", json!("AutoencoderTiny"))
        .set("taesd_decoder/config.json", "block_out_channels", json!([1]))
        .with("taesd_decoder", "decoder");
    let folder = open(&model);
    assert_eq!(open(&Miniature::new().with("taesd_decoder", "decoder")).taesd.unwrap().downscale, 8);
    let (tiny, watch) = (Decoder::load_tiny(&engine(), &folder).unwrap().unwrap(), Notes::default());
    let latents = Latents::from_elem([1, 4, 2, 2], 0.5);
    let planes = tiny.decode(&latents, &watch).unwrap();
    assert!(planes.iter().all(|value| (value - 0.5_f32.tanh()).abs() < 1e-6), "{planes}");
}

#[test]
fn a_preview_is_near_the_picture_for_graphs_of_free_and_of_one_size() {
    for graph in ["decoder", "decoder_fixed_size"] {
        let (model, watch) = (Miniature::new().with("vae_decoder", graph), Notes::default());
        let decoder = Decoder::load(&engine(), &open(&model)).unwrap();
        let preview = decoder.preview(4, &watch).unwrap();
        let latents = Noise::new(&[5]).draw([4, 8, 4]);
        let exact = decoder.decode(&latents, &watch).unwrap();
        let missed =
            |preview: Planes| (preview - &exact).mapv(|error| error * error).sum() / exact.mapv(|v| v * v).sum();
        // A line misses 0.16 of tanh(2 x) over normal values.
        let error = missed(preview.planes(&latents));
        assert!(error < 0.2, "{graph}: {error}");
        assert!(missed(preview.planes(&-latents)) > 1.0, "{graph}");
    }
}
