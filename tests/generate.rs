//! `diffused generate` as a person runs it: files, standard output and exit codes.
//!
//! Needs ONNX Runtime where the program finds it (`deploy/onnxruntime.sh`).

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use diffused::job::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn toy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/toy")
}

/// Two steps of the toy in `folder`, with more arguments.
fn generate(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
    command.current_dir(folder).env_remove("ORT_DYLIB_PATH").env_remove("RUST_LOG");
    command.args(["generate", "a red circle", "--steps", "2", "--seed", "7"]).args(arguments);
    if !arguments.contains(&"--model") {
        command.arg("--model").arg(toy());
    }
    Ok(command.output()?)
}

fn lines(output: &Output) -> Result<Vec<Value>> {
    String::from_utf8(output.stdout.clone())?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The exit code and what is said on stderr.
fn failed(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "stdout carries results only");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_picture_of_a_request_is_a_file_and_a_line_of_facts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = generate(folder.path(), &["-o", "a.jpg", "--count", "2", "--width", "128", "--json"])?;
    let lines = lines(&output)?;
    assert_eq!(lines.len(), 2, "{}", String::from_utf8_lossy(&output.stderr));
    for (k, facts) in lines.iter().enumerate() {
        let file = fs::read(folder.path().join(format!("a-{k}.jpg")))?;
        let sha256 = hex(&Sha256::digest(&file));
        assert_eq!(facts["file"], format!("a-{k}.jpg"));
        assert_eq!((&facts["seed"], &facts["format"]), (&Value::from(7 + k), &Value::from("jpeg")));
        assert_eq!((&facts["width"], &facts["height"]), (&Value::from(128), &Value::from(64)));
        assert_eq!((&facts["bytes"], &facts["sha256"]), (&Value::from(file.len()), &Value::from(sha256)));
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_file_and_nothing_is_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["a.png", "b.png"] {
        let output = generate(folder.path(), &["-o", name])?;
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
    assert_eq!(fs::read(folder.path().join("a.png"))?, fs::read(folder.path().join("b.png"))?);
    Ok(())
}

#[test]
fn metadata_is_written_only_when_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, more) in [("plain.png", &[][..]), ("told.png", &["--metadata"][..])] {
        generate(folder.path(), &[&["-o", name], more].concat())?;
        let reader =
            png::Decoder::new(std::io::BufReader::new(fs::File::open(folder.path().join(name))?)).read_info()?;
        let texts = &reader.info().uncompressed_latin1_text;
        assert_eq!(texts.iter().any(|chunk| chunk.text.contains("a red circle\nSteps: 2")), !more.is_empty(), "{name}");
    }
    Ok(())
}

#[test]
fn a_value_that_cannot_be_served_is_a_fault_of_usage() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cases: [(&[&str], &str); 6] = [
        (&["--guidance-scale", "31"], "guidance_scale must be between 0 and 30, got 31"),
        (&["--sampler", "dpm_fast"], "there is no sampler"),
        (&["--width", "60"], "width must be a multiple of 8"),
        (&["--format", "tiff"], "output.format must be png, jpeg"),
        (
            &["--accelerator", "npu"],
            "accelerator must be one of cpu, cuda, tensorrt, openvino, xnnpack, acl, qnn, coreml, got npu",
        ),
        (&["--colour", "red"], "unexpected argument"),
    ];
    for (arguments, sentence) in cases {
        let (code, said) = failed(&generate(folder.path(), &[&["-o", "a.png"], arguments].concat())?);
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("a.png").exists());
    Ok(())
}

#[test]
fn a_folder_that_is_no_model_is_bad_data() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (code, said) = failed(&generate(folder.path(), &["-o", "a.png", "--model", "."])?);
    assert_eq!(code, Some(65), "{said}");
    assert!(said.ends_with("model_index.json: the file is missing\n"), "{said}");
    Ok(())
}

#[test]
fn no_runtime_and_no_accelerator_are_unavailable() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("text.so"), "no library")?;
    let cases: [(&[&str], &str); 3] = [
        (&["--library", "gone.so"], "gone.so: run deploy/onnxruntime.sh or set engine.library\n"),
        (&["--library", "text.so"], "text.so must be a shared library, got something else"),
        (&["--accelerator", "tensorrt"], "the accelerator tensorrt cannot be used"),
    ];
    for (arguments, sentence) in cases {
        let (code, said) = failed(&generate(folder.path(), &[&["-o", "a.png"], arguments].concat())?);
        assert_eq!(code, Some(69), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [&["-o", "gone/a.png"][..], &["-o", "a.png", "--trace", "gone/a.safetensors"][..]] {
        let (code, said) = failed(&generate(folder.path(), arguments)?);
        assert_eq!(code, Some(74), "{said}");
        assert!(said.contains("the folder gone must exist"), "{said}");
    }
    Ok(())
}
