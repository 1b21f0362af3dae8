//! What a box gets beside the program: the unit and its siblings, the package's scripts, man pages, completions.
//!
//! This is the short form. `tests/systemd.sh` boots a real systemd and puts the package through its life.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::program::{complaint, root, run};

/// Exposure times ten that a unit may have.
const EXPOSURE: &str = "--threshold=20";

#[test]
fn the_unit_is_hardened_to_two_or_better_and_a_bare_one_is_not() {
    let Some(hardened) = analyze(&["--offline=true", EXPOSURE, "security"], &unit("diffused.service")) else { return };
    assert!(hardened.status.success(), "{}", String::from_utf8_lossy(&hardened.stdout));
    let folder = tempfile::tempdir().unwrap();
    let bare = planted(folder.path(), "[Service]\nExecStart=/bin/true\n");
    assert!(!analyze(&["--offline=true", EXPOSURE, "security"], &bare).unwrap().status.success());
}

#[test]
fn systemd_knows_every_line_of_the_units_and_notices_a_planted_one() {
    for name in ["diffused.service", "diffused-powermode.service"] {
        let text = fs::read_to_string(unit(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // What is started is not installed here.
        let text = text.replace("/usr/bin/diffused ", "/bin/true ").replace("/usr/sbin/nvpmodel -m", "/bin/true -m");
        let Some(found) = faults(&planted(folder.path(), &text.replace("Documentation=", "# "))) else { return };
        assert_eq!(found, "", "{name}");
        let found = faults(&planted(folder.path(), &text.replace("Documentation=", "WatchdogSek=60\n# "))).unwrap();
        assert!(found.contains("WatchdogSek"), "{found}");
    }
}

#[test]
fn the_configuration_of_the_package_names_what_the_package_brings() {
    let script = fs::read_to_string(root().join("deploy/package.sh")).unwrap();
    let configuration = fs::read_to_string(root().join("deploy/diffused.toml")).unwrap();
    for pattern in ["# default = \"sd15\" ", "# cache = \"/var/cache/diffused\" "] {
        assert!(script.contains(&format!("s|^{pattern}.*|")), "the package does not set {pattern}");
        let lines = configuration.lines().filter(|line| line.starts_with(pattern)).count();
        assert_eq!(lines, 1, "{pattern} in deploy/diffused.toml");
    }
}

#[test]
fn scripts_can_be_parsed_by_a_plain_shell() {
    let folders = ["deploy", "deploy/cross", "deploy/package", "tests", "tests/appliance"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let scripts: Vec<_> = files.filter(|path| is_script(path)).collect();
    assert!(scripts.len() >= 12, "the scripts were not found: {scripts:?}");
    for script in scripts {
        assert!(parses(&script), "{}", script.display());
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(!parses(&planted(folder.path(), "if true; then\n")));
}

#[test]
fn cross_builds_in_a_pinned_image() {
    let text = fs::read_to_string(root().join("cross.toml")).unwrap();
    let cross: toml::Table = toml::from_str(&text).unwrap();
    let target = &cross["target"]["aarch64-unknown-linux-gnu"];
    let image = target["image"].as_str().unwrap();
    assert!(is_pinned(image), "{image}");
    assert!(target["env"]["passthrough"].as_array().unwrap().iter().all(toml::Value::is_str));
    for loose in ["cross", "cross:latest", "cross:main", "cross:edge", "cross-gnu"] {
        assert!(!is_pinned(&format!("ghcr.io/cross-rs/{loose}")), "{loose}");
    }
}

#[test]
fn every_verb_has_a_man_page_and_completions_and_the_hidden_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(&["manual", folder.path().join("made").to_str().unwrap()]);
    assert!(made.status.success(), "{}", complaint(&made));
    let read = |name: &str| fs::read_to_string(folder.path().join("made").join(name)).unwrap();
    for verb in ["run", "generate", "send", "check", "models", "models-verify", "bench"] {
        assert!(read(&format!("diffused-{verb}.1")).starts_with(".ie"), "{verb}");
    }
    assert!(read("diffused-generate.1").contains("guidance\\-scale"));
    for shell in ["diffused.bash", "diffused.fish", "_diffused"] {
        assert!(read(shell).contains("guidance-scale"), "{shell}");
    }
    assert!(read("diffused.1").contains("diffused\\-generate(1)") && !read("diffused.1").contains("manual"));
    for page in ["diffused-manual.1", "diffused-help.1", "diffused-models-help.1"] {
        assert!(!folder.path().join("made").join(page).exists(), "{page}");
    }
    assert_eq!(run(&["manual", "/dev/null/folder"]).status.code(), Some(74));
}

#[test]
#[ignore = "needs root on Debian, a mirror and minutes: tests/systemd.sh"]
fn the_package_lives_and_dies_well_under_a_real_systemd() {
    let output = Command::new(root().join("tests/systemd.sh")).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", complaint(&output));
}

fn unit(name: &str) -> std::path::PathBuf {
    root().join("systemd").join(name)
}

/// A file that a checker has to judge.
fn planted(folder: &Path, text: &str) -> std::path::PathBuf {
    let file = folder.join("diffused.service");
    fs::write(&file, text).unwrap();
    file
}

/// `systemd-analyze` with a file; nothing, and a word about it, where there is none.
fn analyze(arguments: &[&str], file: &Path) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).arg(file).env("SYSTEMD_LOG_COLOR", "0").output();
    match output {
        Ok(output) if complaint(&output).contains("unrecognized option") => {
            println!("skipped, this systemd-analyze is too old: {}", complaint(&output));
            None
        }
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped, systemd-analyze cannot be run: {error}");
            None
        }
    }
}

/// What `verify` says of this one file; other units of the machine are not ours to judge.
fn faults(file: &Path) -> Option<String> {
    let output = analyze(&["--man=no", "verify"], file)?;
    let said = complaint(&output);
    let ours = said.lines().filter(|line| line.contains("diffused"));
    Some(ours.collect::<Vec<_>>().join("\n"))
}

fn is_script(path: &Path) -> bool {
    let named = path.extension().is_some_and(|end| end == "sh");
    named || path.ends_with("postinst") || path.ends_with("prerm") || path.ends_with("postrm")
}

fn parses(script: &Path) -> bool {
    Command::new("sh").arg("-n").arg(script).output().unwrap().status.success()
}

/// A digest, or the number of a release.
fn is_pinned(image: &str) -> bool {
    let number = |tag: &str| tag.split('.').count() == 3 && tag.split('.').all(|part| part.parse::<u32>().is_ok());
    let digest = |digest: &str| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
    image.rsplit_once("@sha256:").is_some_and(|(_, found)| digest(found))
        || image.rsplit_once(':').is_some_and(|(_, tag)| number(tag))
}
