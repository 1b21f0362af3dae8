//! What a key of a LoRA file means: which part of the model, which module, and what the tensor is there.

use crate::weights::names::Part;

/// What a tensor is in its module's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    Up,
    Down,
    Mid,
    Alpha,
    /// LyCORIS's `dora_scale`, by input or by output.
    DoraScale,
    /// PEFT's `lora_magnitude_vector`, always by output.
    Magnitude,
    Hada1A,
    Hada1B,
    Hada1Core,
    Hada2A,
    Hada2B,
    Hada2Core,
    Lokr1,
    Lokr1A,
    Lokr1B,
    Lokr2,
    Lokr2A,
    Lokr2B,
    Lokr2Core,
    Diff,
    DiffBias,
}

const ROLES: [(&str, Role); 31] = [
    // kohya and LyCORIS.
    (".lora_up.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_mid.weight", Role::Mid),
    (".alpha", Role::Alpha),
    (".dora_scale", Role::DoraScale),
    (".hada_w1_a", Role::Hada1A),
    (".hada_w1_b", Role::Hada1B),
    (".hada_t1", Role::Hada1Core),
    (".hada_w2_a", Role::Hada2A),
    (".hada_w2_b", Role::Hada2B),
    (".hada_t2", Role::Hada2Core),
    (".lokr_w1", Role::Lokr1),
    (".lokr_w1_a", Role::Lokr1A),
    (".lokr_w1_b", Role::Lokr1B),
    (".lokr_w2", Role::Lokr2),
    (".lokr_w2_a", Role::Lokr2A),
    (".lokr_w2_b", Role::Lokr2B),
    (".lokr_t2", Role::Lokr2Core),
    (".diff", Role::Diff),
    (".diff_b", Role::DiffBias),
    (".w_norm", Role::Diff),
    (".b_norm", Role::DiffBias),
    // diffusers' attention processors (`to_q_lora`), its later layers (`.lora`, `.lora_linear_layer`) and PEFT.
    ("_lora.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_magnitude_vector", Role::Magnitude),
];

/// Ends of keys that tell of an algorithm which is not built here.
const UNSUPPORTED: [(&str, &str); 12] = [
    (".on_input", "IA3"),
    (".ia3_l", "IA3"),
    (".oft_blocks", "OFT"),
    (".oft_diag", "OFT"),
    (".oft_r", "OFT"),
    (".oft_R.weight", "OFT"),
    (".boft_R", "BOFT"),
    (".a1.weight", "GLoRA"),
    (".lambda_layer", "T-LoRA"),
    (".lora_embedding_A", "a LoRA of token embeddings"),
    (".vera_lambda_b", "VeRA"),
    (".lora_B.bias", "a LoRA with biases"),
];

/// The meaning of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A tensor of a module.
    Factor { part: Part, name: String, module: String, role: Role },
    /// Of an algorithm that is not supported.
    Unsupported(&'static str),
    /// None of a LoRA's keys.
    Unknown,
}

/// What `key` means: `name` is the module's whole name in the file, `module` is it without what tells the part.
pub(super) fn meaning(key: &str) -> Meaning {
    let key = without_adapter_name(key);
    if let Some((name, role)) = ROLES.iter().find_map(|(end, role)| Some((key.strip_suffix(end)?, *role))) {
        let (part, module) = part(name);
        let module = module.replace(".processor", "");
        return Meaning::Factor { part, name: name.to_owned(), module, role };
    }
    match UNSUPPORTED.iter().find(|(end, _)| key.ends_with(end)) {
        Some((_, algorithm)) => Meaning::Unsupported(algorithm),
        None => Meaning::Unknown,
    }
}

/// PEFT's own state names the adapter inside the key (`lora_A.default.weight`), its files do not.
fn without_adapter_name(key: &str) -> String {
    for infix in [".lora_A.", ".lora_B.", ".lora_magnitude_vector."] {
        if let Some((module, rest)) = key.split_once(infix) {
            let end = rest.rsplit('.').next().unwrap_or(rest);
            return format!("{module}{infix}{end}").replace(".lora_magnitude_vector.weight", ".lora_magnitude_vector");
        }
    }
    key.strip_suffix(".default").unwrap_or(key).to_owned()
}

/// The part of the model, and the rest of the name. What names no part is taken for the U-Net's, where it fits or not.
fn part(name: &str) -> (Part, &str) {
    const PREFIXES: [(&str, Part); 13] = [
        ("lora_unet_", Part::Unet),
        ("lora_te1_", Part::Text(0)),
        ("lora_te2_", Part::Text(1)),
        ("lora_te_", Part::Text(0)),
        ("unet.", Part::Unet),
        ("text_encoder.", Part::Text(0)),
        ("text_encoder_2.", Part::Text(1)),
        ("model.diffusion_model.", Part::Unet),
        ("diffusion_model.", Part::Unet),
        ("text_encoders.clip_l.transformer.", Part::Text(0)),
        ("text_encoders.clip_g.transformer.", Part::Text(1)),
        ("lycoris_", Part::Unet),
        ("", Part::Unet),
    ];
    let wrapped = |name: &'_ str| name.strip_prefix("base_model.model.").map(str::len);
    let name = wrapped(name).map_or(name, |rest| &name[name.len() - rest..]);
    let found = PREFIXES.iter().find_map(|(prefix, part)| Some((*part, name.strip_prefix(prefix)?)));
    let (part, module) = found.unwrap_or((Part::Unet, name));
    let module = module.strip_prefix("base_model.model.").unwrap_or(module);
    let text = part == Part::Unet && (module.starts_with("text_model.") || module.starts_with("text_model_"));
    (if text { Part::Text(0) } else { part }, module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_of_keys_tells_part_module_and_role() {
        const Q: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
        let old = Q.replace("to_q", "processor.to_q");
        for (key, part, module, role) in [
            ("lora_unet_mid_block_x.lora_down.weight", Part::Unet, "mid_block_x", Role::Down),
            ("lora_te_text_model_x_fc1.alpha", Part::Text(0), "text_model_x_fc1", Role::Alpha),
            ("lora_te1_text_model_x.hada_w1_a", Part::Text(0), "text_model_x", Role::Hada1A),
            ("lora_te2_text_projection.lokr_w1", Part::Text(1), "text_projection", Role::Lokr1),
            (&format!("unet.{Q}.lora_A.weight"), Part::Unet, Q, Role::Down),
            (&format!("base_model.model.{Q}.lora_B.default.weight"), Part::Unet, Q, Role::Up),
            (&format!("unet.base_model.model.{Q}.lora_magnitude_vector"), Part::Unet, Q, Role::Magnitude),
            (&format!("{Q}.lora_magnitude_vector.default.weight"), Part::Unet, Q, Role::Magnitude),
            (&format!("unet.{old}.lora.down.weight"), Part::Unet, Q, Role::Down),
            (&format!("{old}_lora.up.weight"), Part::Unet, Q, Role::Up),
            ("text_encoder.text_model.fc1.lora_linear_layer.up.weight", Part::Text(0), "text_model.fc1", Role::Up),
            ("text_encoder_2.text_model.x.lora_A.weight", Part::Text(1), "text_model.x", Role::Down),
            ("base_model.model.text_model.x.lora_A.weight", Part::Text(0), "text_model.x", Role::Down),
        ] {
            let Meaning::Factor { part: p, module: m, role: r, .. } = meaning(key) else { panic!("{key}") };
            assert_eq!((p, m.as_str(), r), (part, module, role), "{key}");
        }
    }

    #[test]
    fn what_is_not_built_is_named_and_what_is_foreign_is_not_taken() {
        assert_eq!(meaning("lora_unet_x.oft_blocks"), Meaning::Unsupported("OFT"));
        assert_eq!(meaning("lora_unet_x.on_input"), Meaning::Unsupported("IA3"));
        assert_eq!(meaning("model.diffusion_model.out.0.weight"), Meaning::Unknown);
        assert_eq!(meaning("emb_params"), Meaning::Unknown);
    }
}
