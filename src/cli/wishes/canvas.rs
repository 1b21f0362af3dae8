//! Flags for what a picture starts from besides noise.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Given;
use crate::cli::CliError;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Starting from a picture")]
pub(super) struct Canvas {
    /// Picture to start from
    #[arg(long, value_name = "FILE")]
    init_image: Option<PathBuf>,
    /// Denoising strength, 0 to 1: how much of the init image is lost [default: 0.75]
    #[arg(long)]
    strength: Option<f64>,
    /// How the init image is brought to size: crop, pad or stretch [default: crop]
    #[arg(long, value_name = "NAME")]
    init_fit: Option<String>,
    /// Picture that is white where the init image is to be painted anew
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Radius of the mask's soft edge in pixels
    #[arg(long, value_name = "PIXELS")]
    mask_feather: Option<f64>,
    /// Paint only the masked part, at full size, with this margin
    #[arg(long, value_name = "PIXELS")]
    mask_crop: Option<i64>,
    /// Depth map, bright is near; or the word estimate
    #[arg(long, value_name = "FILE|estimate")]
    depth: Option<PathBuf>,
}

impl Canvas {
    pub(super) fn given(&self) -> Result<Given, CliError> {
        let depth = match self.depth.as_deref() {
            Some(word) if word == Path::new("estimate") => Some(json!("estimate")),
            file => file.map(photo).transpose()?,
        };
        Ok(vec![
            ("init_image", self.init_image.as_deref().map(photo).transpose()?),
            ("strength", self.strength.map(|value| json!(value))),
            ("init_fit", self.init_fit.as_ref().map(|value| json!(value))),
            ("mask", self.mask.as_deref().map(photo).transpose()?),
            ("mask_feather", self.mask_feather.map(|value| json!(value))),
            ("mask_crop", self.mask_crop.map(|value| json!(value))),
            ("depth", depth),
        ])
    }
}

fn photo(file: &Path) -> Result<Value, CliError> {
    let bytes = fs::read(file).map_err(|error| CliError::Io(format!("{} cannot be read: {error}", file.display())))?;
    Ok(json!({"data": STANDARD.encode(bytes)}))
}
