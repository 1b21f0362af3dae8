//! Pillow, which reads our files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::program::complaint;

/// What Pillow sees.
pub struct Read {
    pub format: String,
    pub size: (u64, u64),
    pub pixels: Vec<u8>,
}

/// What Pillow sees in a file; none if it cannot read it.
pub fn pillow(folder: &Path, file: &[u8]) -> Option<Read> {
    const SCRIPT: &str = "import json, sys; from PIL import Image; image = Image.open(sys.argv[1]); \
        open(sys.argv[2], 'wb').write(image.convert('RGB').tobytes()); print(json.dumps([image.format, *image.size]))";
    let (input, pixels) = (folder.join("file"), folder.join("pixels"));
    fs::write(&input, file).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(&input).arg(&pixels).env("PYTHONPATH", packages());
    let output = python.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(Read {
        format: said[0].as_str()?.to_owned(),
        size: (said[1].as_u64()?, said[2].as_u64()?),
        pixels: fs::read(pixels).unwrap(),
    })
}

/// The folder that pip puts Pillow into, once.
fn packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pillow");
        if !folder.join("PIL").is_dir() {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg("pillow>=10");
            let output = pip.output().unwrap();
            assert!(output.status.success(), "pip cannot bring Pillow: {}", complaint(&output));
        }
        folder
    })
}

/// The largest and the mean difference.
pub fn differences(one: &[u8], other: &[u8]) -> (u8, f64) {
    assert_eq!(one.len(), other.len());
    let each = || one.iter().zip(other).map(|(one, other)| one.abs_diff(*other));
    (each().max().unwrap(), each().map(f64::from).sum::<f64>() / one.len() as f64)
}
