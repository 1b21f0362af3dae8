//! Tests of text encoders on the models in miniature.

use super::super::testing::{Miniature, Notes, engine};
use super::*;

fn encoders(model: &Miniature) -> Result<TextEncoders, LoadError> {
    TextEncoders::load(&engine(), &model.folder())
}

#[test]
fn token_ids_may_be_of_either_width() {
    for graph in ["text_encoder", "text_encoder_i32"] {
        let texts = encoders(&Miniature::new().with("text_encoder", graph)).unwrap();
        let Encoded { tokens, conditioning } = texts.encode("ab", &Notes::default()).unwrap();
        assert_eq!(tokens, [[53, 1, 4, 54, 0, 0, 0, 0]]);
        assert_eq!((conditioning.context.dim(), conditioning.pooled), ((1, 8, 1), None));
        let states: Vec<f32> = tokens[0].iter().map(|&id| id as f32 / 1024.0).collect();
        assert_eq!(conditioning.context.into_raw_vec_and_offset().0, states);
    }
}

#[test]
fn two_encoders_stand_side_by_side_each_with_its_own_tokenizer() {
    let texts = encoders(&Miniature::sdxl()).unwrap();
    let Encoded { tokens, conditioning } = texts.encode("b", &Notes::default()).unwrap();
    assert_eq!(tokens, [[53, 4, 54, 1, 1, 1, 1, 1], [53, 4, 54, 0, 0, 0, 0, 0]]);
    // The state before the last of three, which each add 1.
    assert_eq!(conditioning.context.dim(), (1, 8, 3));
    assert_eq!(conditioning.context.slice(ndarray::s![0, 5, ..]).to_vec(), [2.0, 1.0, 1.0].map(|id| id / 1024.0));
    assert_eq!(conditioning.pooled.unwrap().as_slice().unwrap(), [54.0 / 1024.0; 2]);
}

#[test]
fn an_empty_negative_prompt_is_nothing_where_the_model_was_trained_so() {
    let negative = |model: &Miniature, prompt| {
        let encoded = encoders(model).unwrap().encode_negative(prompt, &Notes::default()).unwrap();
        let Conditioning { context, pooled } = encoded.conditioning;
        context.sum() + pooled.map_or(0.0, |pooled| pooled.sum())
    };
    let keeps = Miniature::sdxl().set("model_index.json", "force_zeros_for_empty_prompt", false.into());
    assert_eq!(negative(&Miniature::sdxl(), ""), 0.0);
    assert!(negative(&Miniature::sdxl(), "a") > 0.0 && negative(&keeps, "") > 0.0);
    assert!(negative(&Miniature::new(), "") > 0.0);
}

#[test]
fn a_text_encoder_that_is_not_what_the_folder_says_is_refused() {
    let plain = Miniature::sdxl().with("text_encoder", "text_encoder");
    let cases = [
        (plain, "text_encoder/model.onnx", "(to be exported with output_hidden_states)"),
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
