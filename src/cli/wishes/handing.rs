//! Flags for how the picture is handed over: the request's `output`.

use serde_json::{Map, Value, json};

use super::Given;
use crate::picture::Format;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The file")]
pub(super) struct Handing {
    /// File or panel format [default: what the file's name says, else png]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Quality of lossy formats, 1 to 100 [default: 90]
    #[arg(long)]
    quality: Option<i64>,
    /// Width of the file's picture in pixels; alone it keeps the proportions
    #[arg(long, value_name = "PIXELS")]
    output_width: Option<i64>,
    /// Height of the file's picture in pixels; alone it keeps the proportions
    #[arg(long, value_name = "PIXELS")]
    output_height: Option<i64>,
    /// How the picture is brought to that size: cover, contain or fill [default: cover]
    #[arg(long, value_name = "NAME")]
    fit: Option<String>,
    /// Turn clockwise, before the size applies: 0, 90, 180 or 270
    #[arg(long, value_name = "DEGREES")]
    rotate: Option<i64>,
    /// How panels' few colours are mixed: none, floyd_steinberg, atkinson or bayer
    #[arg(long, value_name = "NAME")]
    dither: Option<String>,
    /// Bytes that the file may have: quality falls first, then the size
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<i64>,
    /// Over MQTT: send the picture in parts of so many bytes, 512 to 1048576
    #[arg(long, value_name = "BYTES")]
    part_bytes: Option<i64>,
    /// Over MQTT: send no part that was not asked for
    #[arg(long)]
    no_push: bool,
    /// Write into the file how it was made
    #[arg(long)]
    metadata: bool,
}

impl Handing {
    /// As the request's `output`; `by_name` is the format that the file's name stands for.
    pub(super) fn fields(&self, by_name: Format) -> Map<String, Value> {
        let given: Given = vec![
            ("format", Some(json!(self.format.as_deref().unwrap_or(by_name.name())))),
            ("quality", self.quality.map(|value| json!(value))),
            ("width", self.output_width.map(|value| json!(value))),
            ("height", self.output_height.map(|value| json!(value))),
            ("fit", self.fit.as_ref().map(|value| json!(value))),
            ("rotate", self.rotate.map(|value| json!(value))),
            ("dither", self.dither.as_ref().map(|value| json!(value))),
            ("max_bytes", self.max_bytes.map(|value| json!(value))),
            ("part_bytes", self.part_bytes.map(|value| json!(value))),
            ("push", self.no_push.then(|| json!(false))),
            ("metadata", Some(json!(self.metadata))),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}
