//! What a requester sends: the request and the defaults of `prompt`.

use diffused::diffusion::{Ramp, SAMPLERS, Schedule, SeedSource};
use diffused::job::units::AdapterScale;
use diffused::job::units::{
    ClassifierScale, ClipSkip, Count, DeadlineMs, Eta, GuidanceRescale, GuidanceScale, Jump, MaskCrop, MaskFeather,
    MaxBytes, PartBytes, PreviewEvery, PreviewSize, Priority, Quality, Repeats, RestartLevel, RestartSteps,
    ReuseInterval, SChurn, SNoise, Seed, Size, Steps, Strength, VariationStrength,
};
use diffused::picture::{Dither, Fit, Format, Framing, Turn};
use diffused::prompt::Syntax;
use serde_json::{Value, json};

use super::build::{Row, closed, document, flag, id, like, names, nullable, or, real, short_list, text, whole, with};

/// The request.
pub fn request() -> Value {
    document("request", "A request for pictures", closed(&["prompt"], [own(), taste()].concat()))
}

/// Defaults for the `prompt` topic: what is named gets its value, null takes it back.
pub fn defaults_set() -> Value {
    const NOT_HERE: [&str; 4] = ["init_image", "mask", "depth", "output"];
    let rows = taste().into_iter().filter(|row| !NOT_HERE.contains(&row.0));
    let more = own().into_iter().filter(|row| ["preview", "progress", "priority", "deadline_ms"].contains(&row.0));
    let optional = rows.chain(more).map(|(name, schema, meaning)| (name, null_takes_back(schema), meaning)).collect();
    document("defaults-set", "Defaults for requests through the prompt topic", closed(&[], optional))
}

/// What belongs to one request.
fn own() -> Vec<Row> {
    vec![
        ("v", json!({"type": "integer", "const": 1, "default": 1}), "version of the contract"),
        ("id", id(), "idempotency key, random; the same id and content give the stored answer again"),
        ("prompt", texts(1), "what to show; the limit of characters is the node's, see info"),
        ("output", output(), "how the pictures are encoded and sent"),
        ("preview", preview(), "small JPEGs of the picture so far; off if absent"),
        ("progress", or(flag(), true), "whether progress is told"),
        ("priority", or(whole(Priority::RANGE), 5), "nine goes first"),
        ("deadline_ms", whole(DeadlineMs::RANGE), "from arrival"),
        ("not_after", like(TIME), "as deadline_ms, but a moment: RFC 3339 in UTC"),
        ("tags", tags(), "echoed in every status; each side has at most 64 bytes of UTF-8"),
    ]
}

/// What decides the pixels.
fn taste() -> Vec<Row> {
    let sizes = || with(whole(Size::RANGE), json!({"multipleOf": Size::MULTIPLE}));
    vec![
        ("negative_prompt", or(texts(0), ""), "what to keep away from"),
        ("prompt_syntax", or(names(Syntax::ALL.map(Syntax::name)), "weighted"), "plain: brackets are just text"),
        ("model", text(), "a name in info; never a path"),
        ("seed", or(nullable(seed()), -1), "-1 or null: random, reported by accepted; picture k uses seed + k"),
        ("seed_source", or(names(SeedSource::ALL.iter().map(|it| it.name())), "cpu"), "whose random stream"),
        ("steps", whole(Steps::RANGE), "denoising steps; the model's own if absent"),
        ("sampler", names(SAMPLERS.iter().map(|it| it.name)), "the model's own if absent"),
        ("schedule", or(names(Schedule::ALL.iter().map(|it| it.name())), "model"), "spacing of the noise levels"),
        ("eta", real(Eta::RANGE), "share of fresh noise; the sampler's own if absent"),
        ("guidance_scale", real(GuidanceScale::RANGE), "0 ignores the prompt, 1 is no guidance"),
        ("guidance_rescale", or(real(GuidanceRescale::RANGE), 0), ""),
        ("guidance_interval", or(interval(), json!([0, 1])), "from and to, in order, as shares of the steps"),
        ("guidance_ramp", or(names(Ramp::ALL.map(Ramp::name)), "constant"), "how the scale changes over the run"),
        ("clip_skip", whole(ClipSkip::RANGE), "layers of the text encoder that are left out"),
        ("width", sizes(), "pixels; the model's own if absent"),
        ("height", sizes(), "pixels; the model's own if absent"),
        ("count", or(whole(Count::RANGE), 1), "pictures; the limit is the node's, see info"),
        ("init_image", nullable(picture()), "image-to-image"),
        ("strength", or(real(Strength::RANGE), 0.75), "how much of the init image is lost"),
        ("mask", nullable(picture()), "white is painted anew; needs an init_image"),
        ("depth", depth(), "a grey picture, bright is near, or an estimate from the init image"),
        ("init_fit", or(names(Fit::ALL.map(Fit::name)), "crop"), "how an init image is brought to the size"),
        ("mask_feather", or(real(MaskFeather::RANGE), 0), "radius of the mask's soft edge in pixels"),
        ("mask_crop", whole(MaskCrop::RANGE), "paints only the masked part, with this margin in pixels"),
        ("loras", adapters(true), "besides <lora:name:scale> in the prompt"),
        ("hypernetworks", adapters(false), "besides <hypernet:name:scale> in the prompt"),
        ("restart", nullable(restart()), "reverse steps that are done again between two noise levels"),
        ("resample", nullable(resample()), "reverse steps that are done again all along the run"),
        ("variation", nullable(variation()), "a second seed that the noise is turned to"),
        ("s_noise", or(real(SNoise::RANGE), 1), "factor of all fresh noise"),
        ("s_churn", or(real(SChurn::RANGE), 0), "how much noise is put back before each step"),
        ("reuse", nullable(reuse()), "most steps run only the U-Net's outermost layers, where the model was prepared"),
        ("classifier", nullable(classifier()), "classifier guidance, where the model has one"),
    ]
}

const TIME: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$";

fn texts(least: usize) -> Value {
    let schema = json!({"type": "string", "maxLength": 4000, "not": {"pattern": "\\x00"}});
    if least == 0 { schema } else { with(schema, json!({"minLength": least, "pattern": "\\S"})) }
}

fn seed() -> Value {
    json!({"type": "integer", "minimum": -1, "maximum": Seed::RANGE.end()})
}

fn interval() -> Value {
    json!({"type": "array", "items": real(0.0..=1.0), "minItems": 2, "maxItems": 2})
}

/// Base64 in the request, an earlier result of the same client, or an upload of the same client: exactly one.
fn picture() -> Value {
    let rows = vec![
        ("data", json!({"type": "string", "contentEncoding": "base64"}), "the file in base64"),
        ("result", like("^[A-Za-z0-9_-]{1,64}/([0-9]|1[0-5])$"), "<id>/<k> of an earlier result"),
        ("upload", like("^[A-Za-z0-9._-]{1,64}$"), "the name of an upload"),
    ];
    with(closed(&[], rows), json!({"minProperties": 1, "maxProperties": 1}))
}

fn depth() -> Value {
    json!({"oneOf": [picture(), {"const": "estimate"}, {"type": "null"}]})
}

fn adapters(has_text_encoder: bool) -> Value {
    let scale = || real(AdapterScale::RANGE);
    let mut rows = vec![("name", with(text(), json!({"minLength": 1})), ""), ("scale", or(scale(), 1), "")];
    if has_text_encoder {
        rows.push(("text_encoder_scale", scale(), "as scale if absent"));
    }
    nullable(short_list(closed(&["name"], rows), 16))
}

fn restart() -> Value {
    closed(
        &[],
        vec![
            ("from", or(real(RestartLevel::RANGE), 0.1), "sigma, below to"),
            ("to", or(real(RestartLevel::RANGE), 2), "sigma"),
            ("steps", or(whole(RestartSteps::RANGE), 9), ""),
            ("repeats", or(whole(Repeats::RANGE), 1), ""),
        ],
    )
}

fn resample() -> Value {
    let (jump, repeats) = (or(whole(Jump::RANGE), 10), or(whole(Repeats::RANGE), 10));
    closed(&[], vec![("jump", jump, ""), ("repeats", repeats, "")])
}

fn reuse() -> Value {
    let interval = or(whole(ReuseInterval::RANGE), 2);
    closed(&[], vec![("interval", interval, "the whole U-Net runs in every so many steps; 1: in all")])
}

fn variation() -> Value {
    let rows = vec![("seed", whole(Seed::RANGE), ""), ("strength", real(VariationStrength::RANGE), "")];
    closed(&["seed", "strength"], rows)
}

fn classifier() -> Value {
    let rows =
        vec![("label", text(), "one of the model's, see info"), ("scale", or(real(ClassifierScale::RANGE), 1), "")];
    closed(&["label"], rows)
}

fn output() -> Value {
    let side = || whole(1_u32..=8192);
    closed(
        &[],
        vec![
            ("format", or(names(formats()), "png"), "also the raw formats of panels"),
            ("quality", or(whole(Quality::RANGE), 90), "of lossy formats"),
            ("width", side(), "pixels of the file; alone it keeps the proportions"),
            ("height", side(), "pixels of the file; alone it keeps the proportions"),
            (
                "fit",
                or(names(Framing::ALL.map(Framing::name)), "cover"),
                "how the picture is brought to width and height",
            ),
            (
                "rotate",
                json!({"type": "integer", "enum": Turn::ALL.map(Turn::degrees), "default": 0}),
                "clockwise, before the size",
            ),
            (
                "dither",
                names(Dither::ALL.map(Dither::name)),
                "of the raw formats of panels; floyd_steinberg, or none for rgb565, if absent",
            ),
            ("max_bytes", whole(MaxBytes::RANGE), "the file is made so small"),
            ("metadata", or(flag(), false), "whether the file tells how it was made"),
            ("part_bytes", whole(PartBytes::RANGE), "the picture comes in parts of this payload size"),
            ("push", or(flag(), true), "false: only the manifest comes, parts are asked for with get"),
        ],
    )
}

/// The names of the formats, in the order of the table.
pub fn formats() -> Vec<&'static str> {
    Format::ALL.into_iter().map(Format::name).collect()
}

fn preview() -> Value {
    let rows = vec![
        ("every", or(whole(PreviewEvery::RANGE), 1), "a picture each so many steps"),
        ("size", or(whole(PreviewSize::RANGE), 128), "pixels of the longer side"),
    ];
    nullable(closed(&[], rows))
}

fn tags() -> Value {
    json!({
        "type": "object", "maxProperties": 8, "propertyNames": {"maxLength": 64},
        "additionalProperties": {"type": "string", "maxLength": 64}, "default": {},
    })
}

fn null_takes_back(schema: Value) -> Value {
    match schema["type"] {
        Value::String(_) if schema.get("enum").is_some() => json!({"anyOf": [schema, {"type": "null"}]}),
        Value::String(_) => nullable(schema),
        _ => schema,
    }
}
