//! Tests of text encoders on the models in miniature.

use super::super::testing::{Miniature, Notes, engine};
use super::super::vocabulary::Vocabulary;
use super::*;

fn encoders(model: &Miniature) -> Result<TextEncoders, LoadError> {
    let embeddings = &Vocabulary::default();
    let adapters = TextAdapters { embeddings, loras: &[], clip_skip: 0, most_chunks: None };
    TextEncoders::load(&engine(), &model.folder(), &adapters)
}

fn encode(texts: &TextEncoders, text: &str) -> Encoded {
    let spans = [Span::Text { text: text.to_owned(), weight: 1.0 }];
    Encoded::clone(&texts.encode(&spans, Syntax::Weighted, &Notes::default()).unwrap())
}

#[test]
fn token_ids_may_be_of_either_width() {
    for graph in ["text_encoder", "text_encoder_i32"] {
        let texts = encoders(&Miniature::new().with("text_encoder", graph)).unwrap();
        let Encoded { tokens, conditioning, .. } = encode(&texts, "ab");
        assert_eq!(tokens, [[53, 1, 4, 54, 0, 0, 0, 0]]);
        assert_eq!((conditioning.context.dim(), conditioning.pooled), ((1, 8, 1), None));
        let states: Vec<f32> = tokens[0].iter().map(|&id| id as f32 / 1024.0).collect();
        assert_eq!(conditioning.context.into_raw_vec_and_offset().0, states);
    }
}

#[test]
fn two_encoders_stand_side_by_side_each_with_its_own_tokenizer() {
    let texts = encoders(&Miniature::sdxl()).unwrap();
    let Encoded { tokens, conditioning, .. } = encode(&texts, "b");
    assert_eq!(tokens, [[53, 4, 54, 1, 1, 1, 1, 1], [53, 4, 54, 0, 0, 0, 0, 0]]);
    // The state before the last of three, which each add 1.
    assert_eq!(conditioning.context.dim(), (1, 8, 3));
    assert_eq!(conditioning.context.slice(ndarray::s![0, 5, ..]).to_vec(), [2.0, 1.0, 1.0].map(|id| id / 1024.0));
    assert_eq!(conditioning.pooled.unwrap().as_slice().unwrap(), [54.0 / 1024.0; 2]);
}

#[test]
fn a_long_text_is_read_in_chunks_and_a_short_one_filled_up_with_empty_ones() {
    let texts = encoders(&Miniature::new()).unwrap();
    let long = encode(&texts, "a b c d e f g h");
    assert_eq!(long.chunks, 2);
    let id = |letter: char| 2 + 2 * (letter as u32 - 'a' as u32);
    let ids = |text: &str| text.chars().map(id).collect::<Vec<_>>();
    let rows = [vec![53], ids("abcdef"), vec![54, 53], ids("gh"), vec![54, 0, 0, 0, 0]].concat();
    assert_eq!(long.tokens, [rows]);
    assert_eq!(long.conditioning.context.dim(), (1, 16, 1));
    let short = encode(&texts, "a");
    let padded = texts.padded(&short, 2, &Notes::default()).unwrap().context;
    assert_eq!(padded.dim(), (1, 16, 1));
    assert_eq!(padded.slice(ndarray::s![.., ..8, ..]), short.conditioning.context);
    assert_eq!(padded.slice(ndarray::s![.., 8.., ..]), encode(&texts, "").conditioning.context);
}

#[test]
fn a_weight_changes_its_token_and_keeps_the_mean() {
    let texts = encoders(&Miniature::new()).unwrap();
    let plain = encode(&texts, "a").conditioning.context;
    let spans = [Span::Text { text: "a".to_owned(), weight: 2.0 }];
    let weighed = texts.encode(&spans, Syntax::Weighted, &Notes::default()).unwrap();
    let weighed = &weighed.conditioning.context;
    assert!((weighed.mean().unwrap() - plain.mean().unwrap()).abs() < 1e-6);
    let ratio = |index: usize| weighed[[0, index, 0]] / plain[[0, index, 0]];
    assert!((ratio(1) / ratio(0) - 2.0).abs() < 1e-5);
}

#[test]
fn the_same_text_is_encoded_once() {
    let texts = encoders(&Miniature::new()).unwrap();
    let watch = Notes::default();
    for text in ["a b", "c", "a b", "c"] {
        texts.encode(&[Span::Text { text: text.to_owned(), weight: 1.0 }], Syntax::Weighted, &watch).unwrap();
    }
    assert_eq!(watch.heartbeats.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_text_encoder_that_is_not_what_the_folder_says_is_refused() {
    let plain = Miniature::sdxl().with("text_encoder", "text_encoder");
    let cases = [
        (plain, "text_encoder/model.onnx", "or outputs hidden_states.N were looked for, got neither"),
        (
            Miniature::sdxl().with("text_encoder_2", "text_encoder_hidden"),
            "text_encoder_2/model.onnx",
            "hidden_states.1 must be 2 wide as hidden_size says, got 1",
        ),
        (
            Miniature::sdxl().without("tokenizer_2/vocab.json"),
            "tokenizer_2/vocab.json",
            "No such file or directory (os error 2)",
        ),
        (
            Miniature::new().with("text_encoder", "unet"),
            "text_encoder/model.onnx",
            "input input_ids of rank [2], got sample of rank 4, timestep of rank 0, encoder_hidden_states of rank 3",
        ),
    ];
    for (model, file, reason) in cases {
        let error = encoders(&model).err().unwrap().to_string();
        assert!(error.contains(file) && error.ends_with(reason), "{error}");
    }
}
