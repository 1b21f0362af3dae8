//! Every field of a request with values of the wrong type, out of range, unknown or foreign.

use super::row::{DONE, Row};

pub fn rows() -> Vec<Row> {
    let names = names().into_iter().chain(adapters());
    types().into_iter().chain(ranges()).chain(outputs()).chain(names).collect()
}

/// Values that are no text; no number; and so on.
const NO_TEXT: &[&str] = &["null", "true", "7", "1.5", "[]", "{}"];
const NO_NUMBER: &[&str] = &["null", "true", "\"1\"", "[]", "{}"];
const NO_WHOLE: &[&str] = &["null", "true", "\"1\"", "1.5", "[]", "{}"];
const NO_FLAG: &[&str] = &["null", "1", "\"true\"", "[]", "{}"];
const NO_OBJECT: &[&str] = &["true", "7", "1.5", "\"x\"", "[]"];
const NO_LIST: &[&str] = &["true", "7", "\"style\"", "{}", "[7]", "[[]]", "[null]"];

const TYPES: &[(&[&str], &[&str])] = &[
    (NO_TEXT, &["negative_prompt", "prompt_syntax", "model", "sampler", "schedule", "seed_source", "init_fit"]),
    (NO_TEXT, &["guidance_ramp", "not_after", "id"]),
    (NO_NUMBER, &["guidance_scale", "guidance_rescale", "eta", "s_noise", "s_churn", "strength", "mask_feather"]),
    (NO_WHOLE, &["steps", "clip_skip", "width", "height", "count", "mask_crop", "priority", "deadline_ms"]),
    (NO_FLAG, &["progress"]),
    (&["true", "\"7\"", "1.5", "[]", "{}"], &["seed"]),
    (NO_OBJECT, &["init_image", "mask", "depth", "preview", "variation", "restart", "resample", "reuse", "classifier"]),
    (&["null", "true", "7", "\"x\"", "[]"], &["output", "tags"]),
    (NO_LIST, &["loras", "hypernetworks"]),
    (&["null", "true", "7", "\"x\"", "{}", "[]", "[0]", "[0,1,1]", "[\"0\",1]", "[null,1]"], &["guidance_interval"]),
];

fn types() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (values, fields) in TYPES {
        for (value, field) in values.iter().flat_map(|value| fields.iter().map(move |field| (value, field))) {
            rows.push(Row::with(&format!(r#""{field}":{value}"#), "invalid_field", field));
        }
    }
    rows.extend(NO_TEXT.iter().map(|value| Row::new(format!(r#"{{"prompt":{value}}}"#), "invalid_field", "prompt")));
    rows
}

/// A member of a request, and the field that is at fault.
const RANGES: &[(&str, &str)] = &[
    (r#""steps":0"#, "steps"),
    (r#""steps":-1"#, "steps"),
    (r#""steps":151"#, "steps"),
    (r#""guidance_scale":-0.1"#, "guidance_scale"),
    (r#""guidance_scale":30.1"#, "guidance_scale"),
    (r#""guidance_rescale":-0.1"#, "guidance_rescale"),
    (r#""guidance_rescale":1.1"#, "guidance_rescale"),
    (r#""guidance_interval":[0.5,0.2]"#, "guidance_interval"),
    (r#""guidance_interval":[-0.1,1]"#, "guidance_interval"),
    (r#""guidance_interval":[0,1.1]"#, "guidance_interval"),
    (r#""eta":-0.1"#, "eta"),
    (r#""eta":1.1"#, "eta"),
    (r#""s_noise":-0.1"#, "s_noise"),
    (r#""s_noise":2.1"#, "s_noise"),
    (r#""s_churn":-1"#, "s_churn"),
    (r#""s_churn":101"#, "s_churn"),
    (r#""strength":-0.1"#, "strength"),
    (r#""strength":1.1"#, "strength"),
    (r#""mask_feather":-1"#, "mask_feather"),
    (r#""mask_feather":257"#, "mask_feather"),
    (r#""mask_crop":-1"#, "mask_crop"),
    (r#""mask_crop":8193"#, "mask_crop"),
    (r#""count":0"#, "count"),
    (r#""count":-1"#, "count"),
    (r#""count":5"#, "count"),
    (r#""count":17"#, "count"),
    (r#""width":0"#, "width"),
    (r#""width":-64"#, "width"),
    (r#""width":60"#, "width"),
    (r#""width":8200"#, "width"),
    (r#""height":0"#, "height"),
    (r#""height":-64"#, "height"),
    (r#""height":63"#, "height"),
    (r#""height":8200"#, "height"),
    (r#""clip_skip":-1"#, "clip_skip"),
    (r#""clip_skip":5"#, "clip_skip"),
    (r#""priority":-1"#, "priority"),
    (r#""priority":10"#, "priority"),
    (r#""deadline_ms":999"#, "deadline_ms"),
    (r#""deadline_ms":86400001"#, "deadline_ms"),
    (r#""deadline_ms":-1000"#, "deadline_ms"),
    (r#""not_after":"""#, "not_after"),
    (r#""not_after":"tomorrow""#, "not_after"),
    (r#""not_after":"2026-02-30T00:00:00Z""#, "not_after"),
    (r#""not_after":"2026-01-02""#, "not_after"),
    (r#""prompt_syntax":"comfy""#, "prompt_syntax"),
    (r#""seed_source":"mps""#, "seed_source"),
    (r#""init_fit":"shrink""#, "init_fit"),
    (r#""guidance_ramp":"steep""#, "guidance_ramp"),
    (r#""preview":{"every":0}"#, "preview.every"),
    (r#""preview":{"every":151}"#, "preview.every"),
    (r#""preview":{"every":"1"}"#, "preview.every"),
    (r#""preview":{"size":15}"#, "preview.size"),
    (r#""preview":{"size":513}"#, "preview.size"),
    (r#""preview":{"size":null}"#, "preview.size"),
    (r#""variation":{"seed":3}"#, "variation.strength"),
    (r#""variation":{"strength":0.5}"#, "variation.seed"),
    (r#""variation":{"seed":-1,"strength":0.5}"#, "variation.seed"),
    (r#""variation":{"seed":9007199254740992,"strength":0.5}"#, "variation.seed"),
    (r#""variation":{"seed":3,"strength":1.1}"#, "variation.strength"),
    (r#""restart":{"from":3,"to":2}"#, "restart.from"),
    (r#""restart":{"from":-1}"#, "restart.from"),
    (r#""restart":{"to":1001}"#, "restart.to"),
    (r#""restart":{"steps":0}"#, "restart.steps"),
    (r#""reuse":{"interval":0}"#, "reuse.interval"),
    (r#""reuse":{"interval":21}"#, "reuse.interval"),
    (r#""restart":{"repeats":21}"#, "restart.repeats"),
    (r#""restart":{"steps":150,"repeats":20}"#, "restart"),
    (r#""resample":{"jump":0}"#, "resample.jump"),
    (r#""resample":{"repeats":21}"#, "resample.repeats"),
    (r#""steps":100,"resample":{"repeats":20}"#, "resample"),
    (r#""classifier":{}"#, "classifier.label"),
    (r#""classifier":{"label":"cat"}"#, "classifier.label"),
    (r#""classifier":{"label":7}"#, "classifier.label"),
    (r#""classifier":{"label":"red","scale":-1}"#, "classifier.scale"),
    (r#""classifier":{"label":"red","scale":1001}"#, "classifier.scale"),
    (r#""tags":{"a":7}"#, "tags"),
    (r#""tags":{"a":null}"#, "tags"),
    (r#""tags":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":""}"#, "tags"),
];

fn ranges() -> Vec<Row> {
    let long = "t".repeat(65);
    let others = [
        Row::with(r#""clip_skip":3"#, "unsupported_mode", "clip_skip"),
        Row::with(r#""width":8192,"height":8192"#, "size_not_supported", "width"),
        Row::with(r#""width":1032,"height":1024"#, "size_not_supported", "width"),
        Row::with(&format!(r#""tags":{{"a":"{long}"}}"#), "invalid_field", "tags"),
        Row::with(&format!(r#""tags":{{"{long}":"a"}}"#), "invalid_field", "tags"),
        Row::with(r#""not_after":"2020-01-02T03:04:05Z""#, "expired", ""),
        Row::with(r#""not_after":"1960-01-01T00:00:00Z""#, "invalid_field", "not_after"),
    ];
    RANGES.iter().map(|(member, field)| Row::with(member, "invalid_field", field)).chain(others).collect()
}

/// Members of `output`, and the field in it that is at fault.
const OUTPUTS: &[(&str, &str)] = &[
    (r#""format":"gif""#, "format"),
    (r#""format":"PNG""#, "format"),
    (r#""format":7"#, "format"),
    (r#""quality":0"#, "quality"),
    (r#""quality":101"#, "quality"),
    (r#""quality":"90""#, "quality"),
    (r#""width":0"#, "width"),
    (r#""width":8193"#, "width"),
    (r#""width":1.5"#, "width"),
    (r#""height":-1"#, "height"),
    (r#""width":8192,"height":8192"#, "height"),
    (r#""width":8192"#, "width"),
    (r#""fit":"stretch""#, "fit"),
    (r#""rotate":45"#, "rotate"),
    (r#""rotate":-90"#, "rotate"),
    (r#""rotate":"90""#, "rotate"),
    (r#""format":"mono","dither":"magic""#, "dither"),
    (r#""format":"png","dither":"bayer""#, "dither"),
    (r#""max_bytes":511"#, "max_bytes"),
    (r#""max_bytes":1073741825"#, "max_bytes"),
    (r#""format":"rgb565","width":64,"height":64,"max_bytes":8191"#, "max_bytes"),
    (r#""metadata":1"#, "metadata"),
    (r#""format":"mono","metadata":true"#, "metadata"),
    (r#""part_bytes":511"#, "part_bytes"),
    (r#""part_bytes":1048577"#, "part_bytes"),
    (r#""part_bytes":"4000""#, "part_bytes"),
    (r#""push":0"#, "push"),
];

fn outputs() -> Vec<Row> {
    let wrong = OUTPUTS.iter().map(|(members, field)| {
        Row::with(&format!(r#""output":{{{members}}}"#), "invalid_field", &format!("output.{field}"))
    });
    let right = [r#""part_bytes":512"#, r#""push":false"#, r#""format":"epd_7c","width":8192,"height":1"#, ""];
    wrong.chain(right.iter().map(|members| Row::with(&format!(r#""output":{{{members}}}"#), DONE, ""))).collect()
}

/// What other programs call our fields, what nobody calls so, and what has another place.
fn names() -> Vec<Row> {
    let foreign = [
        "cfg_scale",
        "num_inference_steps",
        "sampler_name",
        "scheduler",
        "denoising_strength",
        "batch_size",
        "num_images_per_prompt",
    ];
    let unknown = ["stepz", "Steps", "prompt ", "", "__proto__", "url", "callback", "init_image_url"];
    let places = [
        (r#""output":{"fromat":"png"}"#, "output.fromat"),
        (r#""preview":{"format":"png"}"#, "preview.format"),
        (r#""variation":{"seed":1,"strength":1,"sed":1}"#, "variation.sed"),
        (r#""restart":{"form":1}"#, "restart.form"),
        (r#""reuse":{"cut":1}"#, "reuse.cut"),
        (r#""resample":{"jumps":1}"#, "resample.jumps"),
        (r#""classifier":{"label":"red","weight":1}"#, "classifier.weight"),
        (r#""init_image":{"url":"http://x"}"#, "init_image.url"),
        (r#""mask":{"path":"/etc/passwd"}"#, "mask.path"),
    ];
    let quoted = |name: &str| format!("{name:?}");
    let foreign = foreign.iter().map(|name| Row::with(&format!(r#""{name}":3"#), "invalid_field", name));
    let unknown = unknown.iter().map(|name| Row::with(&format!(r#""{name}":3"#), "invalid_field", &quoted(name)));
    let places = places.iter().map(|(member, name)| Row::with(member, "invalid_field", &quoted(name)));
    let models = ["../../x", "flat/../flat", "fl\u{430}t", "FLAT", "", "http://x/flat", "/etc/passwd", &"m".repeat(65)]
        .map(|name| Row::with(&format!(r#""model":"{name}""#), "unknown_model", "model"));
    let others = [
        Row::with(r#""sampler":"magic""#, "unknown_sampler", "sampler"),
        Row::with(r#""sampler":"""#, "unknown_sampler", "sampler"),
        Row::with(r#""schedule":"magic""#, "unknown_schedule", "schedule"),
        Row::with(r#""schedule":"Karras""#, "unknown_schedule", "schedule"),
    ];
    foreign.chain(unknown).chain(places).chain(models).chain(others).collect()
}

fn adapters() -> Vec<Row> {
    let seventeen = vec![r#"{"name":"style"}"#; 17].join(",");
    let wrong = [
        (r#""loras":[{"scale":1}]"#, "loras.name"),
        (r#""loras":[{"name":""}]"#, "loras.name"),
        (r#""loras":[{"name":7}]"#, "loras.name"),
        (r#""loras":[{"name":"style","scale":4.1}]"#, "loras.scale"),
        (r#""loras":[{"name":"style","scale":"1"}]"#, "loras.scale"),
        (r#""loras":[{"name":"style","text_encoder_scale":-5}]"#, "loras.text_encoder_scale"),
        (r#""loras":[{"name":"style","weight":1}]"#, "\"loras.weight\""),
        (r#""hypernetworks":[{}]"#, "hypernetworks.name"),
        (r#""hypernetworks":[{"name":"x","scale":-4.1}]"#, "hypernetworks.scale"),
    ];
    let others = [
        Row::with(&format!(r#""loras":[{seventeen}]"#), "invalid_field", "loras"),
        Row::with(r#""loras":[{"name":"../style"}]"#, "unknown_adapter", "loras"),
        Row::with(r#""hypernetworks":[{"name":"style"}]"#, "unknown_adapter", "hypernetworks"),
        Row::with(r#""loras":[{"name":"wide"}]"#, "adapter_mismatch", "loras"),
    ];
    wrong.iter().map(|(member, field)| Row::with(member, "invalid_field", field)).chain(others).collect()
}
