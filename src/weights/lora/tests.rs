//! Files that contradict themselves or the model, and what is said of them.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};

use super::{Factors, Lora, LoraError, Place, merged, merged_bias};
use crate::weights::Dtype;
use crate::weights::names::Part;

fn lora(entries: &[(&str, &[usize])]) -> Result<Lora, LoraError> {
    Lora::of(entries.iter().map(|(key, shape)| ((*key).to_owned(), Dtype::F16, shape.to_vec())), None)
}

fn message(entries: &[(&str, &[usize])]) -> String {
    lora(entries).unwrap_err().to_string()
}

/// The factors of the only module, all ones.
fn ones(entries: &[(&str, &[usize])]) -> Factors {
    let shape = |key: &str| entries.iter().find(|(name, _)| *name == key).unwrap().1;
    let read = |key: &str| -> Result<_, LoraError> { Ok(ArrayD::ones(IxDyn(shape(key)))) };
    lora(entries).unwrap().groups()[0].read(read).unwrap()
}

#[test]
fn shapes_that_contradict_each_other_are_refused_with_the_header() {
    for (entries, expected) in [
        (
            &[("lora_unet_q.lora_up.weight", &[8, 2][..]), ("lora_unet_q.lora_down.weight", &[3, 8])][..],
            "`lora_unet_q.lora_down.weight` has shape [3, 8], expected 2 rows as `lora_unet_q.lora_up.weight` has 2 columns",
        ),
        (
            &[("lora_unet_q.lora_up.weight", &[8, 0]), ("lora_unet_q.lora_down.weight", &[0, 8])],
            "`lora_unet_q.lora_up.weight` has shape [8, 0], expected two axes or more, none of length 0",
        ),
        (
            &[("lora_unet_q.lora_up.weight", &[8]), ("lora_unet_q.lora_down.weight", &[2, 8])],
            "`lora_unet_q.lora_up.weight` has shape [8], expected two axes or more, none of length 0",
        ),
        (
            &[("lora_unet_q.diff", &[3, usize::MAX, usize::MAX])],
            "`lora_unet_q.diff` has shape [3, 18446744073709551615, 18446744073709551615], \
             expected two axes or more, none of length 0",
        ),
        (
            &[("lora_unet_q.diff", &[3, 4]), ("lora_unet_q.diff_b", &[4])],
            "`lora_unet_q.diff_b` has shape [4], expected 3 numbers",
        ),
        (
            &[("q.lora_A.weight", &[2, 8]), ("q.lora_B.weight", &[8, 2]), ("q.lora_magnitude_vector", &[9])],
            "`q.lora_magnitude_vector` has shape [9], expected 8 numbers",
        ),
        (
            &[("lora_unet_q.diff", &[3, 4]), ("lora_unet_q.alpha", &[2])],
            "`lora_unet_q.alpha` has shape [2], expected one number",
        ),
        (
            &[("x.lokr_w1", &[1 << 40, 2]), ("x.lokr_w2", &[1 << 40, 2])],
            "`x.lokr_w2` has shape [1099511627776, 2], expected a smaller shape",
        ),
        (
            &[("x.hada_w1_a", &[8, 2]), ("x.hada_w1_b", &[2, 9]), ("x.hada_w2_a", &[8, 2]), ("x.hada_w2_b", &[2, 7])],
            "`x.hada_w2_b` has shape [2, 7], expected factors of (8, 9) as beside it, not of (8, 7)",
        ),
        (
            &[("x.lora_up.weight", &[8, 2]), ("x.lora_down.weight", &[2, 4]), ("x.lora_mid.weight", &[3, 2, 3, 3])],
            "`x.lora_mid.weight` has shape [3, 2, 3, 3], \
             expected [2, 2, ..] to go between `x.lora_up.weight` and `x.lora_down.weight`",
        ),
    ] {
        assert_eq!(message(entries), expected);
    }
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    assert_eq!(message(&[("lora_unet_q.lora_up.weight", &[8, 2])]), "`lora_unet_q` lacks its `down` matrix");
    assert_eq!(message(&[("lora_unet_q.hada_t1", &[2, 2])]), "`lora_unet_q` lacks the matrices that change it");
    let alone = message(&[("lora_unet_q.alpha", &[])]);
    assert_eq!(alone, "the file is no LoRA: it changes nothing with its 1 keys, the first is `lora_unet_q`");
    assert_eq!(
        message(&[("q.lora_A.weight", &[8, 2]), ("q.lora.down.weight", &[8, 2])]),
        "`q.lora_A.weight` stands beside another key with the same meaning"
    );
    assert_eq!(
        message(&[("q.diff", &[8, 2]), ("q.hada_t1", &[2, 2, 3, 3])]),
        "a second change of a module is not supported, the file has `q.hada_t1`"
    );
    assert_eq!(message(&[("q.oft_blocks", &[2, 4, 4])]), "OFT is not supported, the file has `q.oft_blocks`");
    assert_eq!(
        message(&[("emb_params", &[2, 768])]),
        "the file is no LoRA: it changes nothing with its 1 keys, the first is `emb_params`"
    );
}

#[test]
fn a_lora_of_another_model_is_refused_with_both_shapes() {
    let factors = ones(&[("lora_unet_q.lora_up.weight", &[8, 2]), ("lora_unet_q.lora_down.weight", &[2, 4])]);
    let weight = |shape: &[usize]| merged(ArrayD::zeros(IxDyn(shape)), &[(&factors, 1.0)]);
    assert_eq!(
        weight(&[8, 5]).unwrap_err().to_string(),
        "`lora_unet_q` changes a weight of shape [8, 4], the model's has [8, 5]"
    );
    assert!(
        weight(&[4, 8]).is_err() && weight(&[32]).is_err() && weight(&[]).is_err() && weight(&[8, 2, 1, 1]).is_err()
    );
    assert!(weight(&[8, 4]).is_ok() && weight(&[8, 4, 1, 1]).is_ok());
}

#[test]
fn lengths_for_other_inputs_are_refused_when_the_weight_is_known() {
    let entries: [(&str, &[usize]); 3] =
        [("x.lokr_w1", &[2, 2]), ("x.lokr_w2", &[4, 18]), ("x.dora_scale", &[1, 12, 1, 1])];
    let error = lora(&entries).unwrap().groups()[0].check(&[8, 4, 3, 3]).unwrap_err();
    let expected = "`x.dora_scale` has shape [1, 12, 1, 1], expected 4 numbers for a weight of shape [8, 4, 3, 3]";
    assert_eq!(error.to_string(), expected);
    assert!(lora(&entries).unwrap().groups()[0].check(&[8, 12, 3, 1]).is_ok());
}

#[test]
fn a_whole_alpha_is_taken_and_whole_weights_are_refused() {
    let entries = |dtypes: [Dtype; 3]| {
        let keys = ["q.lora_up.weight", "q.lora_down.weight", "q.alpha"].map(str::to_owned);
        let shapes = [vec![8, 2], vec![2, 4], vec![]];
        Lora::of(keys.into_iter().zip(dtypes).zip(shapes).map(|((key, dtype), shape)| (key, dtype, shape)), None)
    };
    assert!(entries([Dtype::F16, Dtype::F8E4m3, Dtype::I64]).is_ok());
    let error = entries([Dtype::F16, Dtype::I8, Dtype::F16]).unwrap_err();
    assert_eq!(error.to_string(), "`q.lora_down.weight` must hold floating point numbers, got I8");
}

#[test]
fn one_module_with_a_bias_a_norm_or_an_alpha_alone_does_not_spoil_the_file() {
    let lora = lora(&[
        ("lora_unet_conv.diff_b", &[3]),
        ("lora_unet_empty.alpha", &[]),
        ("lora_unet_norm.w_norm", &[3]),
        ("lora_unet_norm.b_norm", &[3]),
        ("lora_unet_other.diff", &[3]),
    ])
    .unwrap();
    assert_eq!(lora.unknown(), ["lora_unet_empty"]);
    let read = |key: &str| -> Result<_, LoraError> { Ok(ArrayD::from_elem(IxDyn(&[3]), key.len() as f32)) };
    let [conv, norm, other] = lora.groups() else { panic!("{:?}", lora.groups()) };
    let has = |group: &super::Group| (group.has_weight(), group.has_bias());
    assert_eq!([conv, norm, other].map(has), [(false, true), (true, true), (true, false)]);
    let three = || ArrayD::ones(IxDyn(&[3]));
    let weight = |factors: &Factors| merged(three(), &[(factors, 0.5)]).unwrap()[[2]];
    let bias = |factors: &Factors| merged_bias(three(), &[(factors, 0.5)]).unwrap()[[2]];
    let [conv_factors, norm_factors, other_factors] = [conv, norm, other].map(|group| group.read(read).unwrap());
    assert_eq!([weight(&conv_factors), bias(&conv_factors)], [1.0, 11.5]);
    assert_eq!([weight(&norm_factors), bias(&norm_factors)], [11.5, 11.5]);
    assert_eq!([weight(&other_factors), bias(&other_factors)], [11.0, 1.0]);
    assert!(conv.check(&[3, 4, 3, 3]).is_ok() && norm.check(&[3]).is_ok());
    let error = conv.check(&[4, 4, 3, 3]).unwrap_err().to_string();
    assert_eq!(error, "`lora_unet_conv` changes a weight of shape [3], the model's has [4]");
    assert!(norm.check(&[4]).is_err() && norm.check(&[3, 3]).is_err());
}

#[test]
fn a_tensor_that_is_not_what_the_header_told_is_refused() {
    let lora = lora(&[("q.diff", &[2, 2])]).unwrap();
    let read = |_: &str| -> Result<_, LoraError> { Ok(ArrayD::ones(IxDyn(&[3, 3]))) };
    let error = lora.groups()[0].read(read).unwrap_err();
    assert_eq!(error.to_string(), "`q.diff` has shape [3, 3], expected [2, 2] as the header told");
}

#[test]
fn the_first_convolution_of_an_inpainting_model_is_changed_in_its_first_four_channels() {
    let keys = |module: &str| [format!("{module}.lora_up.weight"), format!("{module}.lora_down.weight")];
    let shapes: [&[usize]; 2] = [&[2, 1, 1, 1], &[1, 4, 3, 3]];
    for (module, fits) in [("lora_unet_conv_in", true), ("lora_unet_input_blocks_0_0", true), ("lora_unet_x", false)] {
        let [up, down] = keys(module);
        let factors = ones(&[(&up, shapes[0]), (&down, shapes[1])]);
        let weight = merged(ArrayD::zeros(IxDyn(&[2, 9, 3, 3])), &[(&factors, 0.5)]);
        assert_eq!(weight.is_ok(), fits, "{module}");
        for ((_, channel), value) in weight.iter().flat_map(indexed) {
            assert_eq!(value, if channel < 4 { 0.5 } else { 0.0 });
        }
    }
}

fn indexed(weight: &ArrayD<f32>) -> impl Iterator<Item = ((usize, usize), f32)> {
    weight.indexed_iter().map(|(at, value)| ((at[0], at[1]), *value))
}

#[test]
fn names_that_fit_no_module_are_listed() {
    let q = "down_blocks.0.attentions.0.to_q";
    let entries: [(&str, &[usize]); 4] = [
        ("unet.down_blocks.0.attentions.0.to_q.diff", &[2, 2]),
        ("lora_unet_nowhere.diff", &[2, 2]),
        ("lora_te2_text_model_x.diff", &[2, 2]),
        ("bundle_emb.a", &[2, 2]),
    ];
    let fit = lora(&entries).unwrap().fit(&[(Part::Unet, vec![q])]);
    let place = Place { part: Part::Unet, module: q.to_owned(), group: 0 };
    assert_eq!(fit.places, [place]);
    assert_eq!(fit.unmatched, ["lora_unet_nowhere", "lora_te2_text_model_x", "bundle_emb.a"]);
}

#[test]
fn ten_thousand_keys_are_sorted_into_their_modules() {
    let keys =
        (0..10_000).map(|number| (format!("lora_unet_m{}.{}", number / 2, ["diff", "diff_b"][number % 2]), number % 2));
    let lora = Lora::of(keys.map(|(key, bias)| (key, Dtype::F32, if bias == 1 { vec![2] } else { vec![2, 2] })), None)
        .unwrap();
    assert_eq!(lora.groups().len(), 5_000);
    let modules: Vec<String> = (0..4_000).map(|number| format!("m{number}")).collect();
    let fit = lora.fit(&[(Part::Unet, modules)]);
    assert_eq!((fit.places.len(), fit.unmatched.len()), (4_000, 1_000));
}

/// Numbers from a linear congruential generator (Knuth's MMIX), the upper bits of each state.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    }
}

/// A shape of up to four axes of length 1 or 2, seldom 0.
fn shape(next: &mut impl FnMut(usize) -> usize) -> Vec<usize> {
    let axes = [2, 2, 2, 2, 4, 4, 3, 1, 0][next(9)];
    (0..axes).map(|_| [1, 1, 1, 2, 2, 2, 2, 2, 2, 0][next(10)]).collect()
}

#[test]
fn random_headers_are_refused_or_make_weights() {
    const ENDS: [&[&str]; 4] = [
        &["lora_up.weight", "lora_down.weight", "lora_mid.weight", "alpha", "dora_scale"],
        &["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "dora_scale"],
        &["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2", "dora_scale"],
        &["diff", "diff_b", "w_norm", "lora_magnitude_vector", "alpha"],
    ];
    let mut next = numbers(7);
    let (mut made, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut header = BTreeMap::new();
        for end in ENDS[round % 4] {
            if next(5) > 0 {
                header.insert(format!("lora_unet_conv_in.{end}"), shape(&mut next));
            }
        }
        let entries = header.iter().map(|(key, shape)| (key.clone(), Dtype::F32, shape.clone()));
        let Ok(lora) = Lora::of(entries, None) else {
            refused += 1;
            continue;
        };
        let read = |key: &str| -> Result<_, LoraError> { Ok(ArrayD::ones(IxDyn(&header[key]))) };
        let factors = lora.groups()[0].read(read).unwrap();
        for _ in 0..8 {
            let weight = shape(&mut next);
            let changed = merged(ArrayD::ones(IxDyn(&weight)), &[(&factors, 0.5)]);
            made += usize::from(changed.is_ok_and(|changed| changed.shape() == weight));
        }
    }
    assert!(made > 500 && refused > 1_000, "{made} made, {refused} refused");
}
