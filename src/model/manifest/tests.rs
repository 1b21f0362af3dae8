//! Lists that are true, and every way in which they can be untrue.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const NAMES: [&str; 3] = ["model_index.json", "unet/config.json", "unet/model.onnx"];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("unet")).unwrap();
    for name in NAMES {
        fs::write(folder.path().join(name), name).unwrap();
    }
    Manifest::of(folder.path(), &|_| ()).unwrap().write(folder.path()).unwrap();
    folder
}

fn faults(folder: &TempDir) -> Vec<String> {
    let list = Manifest::open(folder.path()).unwrap().unwrap();
    list.faults(folder.path(), &|_| ()).unwrap().iter().map(Fault::to_string).collect()
}

/// What a list of these bytes is refused with.
fn refused(bytes: &[u8]) -> String {
    let folder = folder();
    fs::write(folder.path().join(MANIFEST), bytes).unwrap();
    Manifest::open(folder.path()).unwrap_err().to_string().split_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_folder_is_as_its_own_list_says_and_nothing_else_is_written() {
    let folder = folder();
    assert_eq!(faults(&folder), [""; 0]);
    let text = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    let names: Vec<&str> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(names, NAMES);
    // As `sha256sum` says of this text.
    let digest = "ee03ace9a3b1ea6846fc97cb1b1e89955d97a46e19e227f26353a4af13c5a22a";
    assert!(text.starts_with(&format!("{digest}  model_index.json\n")), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "a draft is left");
    assert_eq!(Manifest::open(folder.path()).unwrap().unwrap().len(), 3);
}

#[test]
fn sha256sum_agrees() {
    let folder = folder();
    let check = || {
        let mut command = std::process::Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet", MANIFEST]).current_dir(folder.path()).output().unwrap()
    };
    assert!(check().status.success());
    fs::write(folder.path().join("unet/model.onnx"), "other").unwrap();
    assert!(!check().status.success());
}

#[test]
fn a_flipped_bit_a_missing_and_an_extra_file_are_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut bytes = fs::read(at("unet/model.onnx")).unwrap();
    bytes[3] ^= 1;
    fs::write(at("unet/model.onnx"), bytes).unwrap();
    fs::remove_file(at("model_index.json")).unwrap();
    fs::write(at("unet/full.onnx"), "").unwrap();
    let wanted = ["missing  model_index.json", "extra    unet/full.onnx", "changed  unet/model.onnx"];
    assert_eq!(faults(&folder), wanted);
    // Names alone do not tell what a file holds.
    let list = Manifest::open(folder.path()).unwrap().unwrap();
    assert_eq!(list.glance(folder.path()).unwrap().len(), 2);
}

#[test]
fn only_renewed_files_are_taken_for_what_they_are_now() {
    let folder = folder();
    for name in ["unet/model.onnx", "unet/config.json"] {
        fs::write(folder.path().join(name), "new").unwrap();
    }
    let mut list = Manifest::open(folder.path()).unwrap().unwrap();
    list.renew(folder.path(), &["unet/model.onnx"]).unwrap();
    list.write(folder.path()).unwrap();
    assert_eq!(faults(&folder), ["changed  unet/config.json"]);
}

#[test]
fn a_list_that_names_anything_outside_of_the_folder_is_refused() {
    let digest = "0".repeat(64);
    for name in ["../x", "/etc/passwd", "unet/../../x", "unet//x", "unet/", "./../x", ".", "..\\x", MANIFEST] {
        let message = refused(format!("{digest}  {name}\n").as_bytes());
        assert!(message.starts_with("line 1 must name another file of the folder, got "), "{name}: {message}");
    }
}

#[test]
fn a_list_that_is_none_is_refused_with_the_line() {
    assert_eq!(refused(b""), "it must list the folder's files, got none");
    assert_eq!(refused(b"# nothing\n\n"), "it must list the folder's files, got none");
    let digest = "0".repeat(64);
    let good = format!("{digest}  a\n");
    assert_eq!(refused(&[good.as_bytes(), b"\xff\xfe  b\n"].concat()), "line 2 must be UTF-8");
    assert_eq!(refused(format!("{good}\n{good}").as_bytes()), "line 3 names \"a\" a second time");
    for line in ["a", "abc  a", &format!("{digest} a"), &format!("\\{digest}  a"), &format!("{}  a", "g".repeat(64))] {
        assert!(refused(line.as_bytes()).starts_with("line 1 must be a SHA-256 digest"), "{line}");
    }
}

#[test]
fn lists_of_other_tools_are_read() {
    let folder = folder();
    let text = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    let capitals: String = text.lines().map(|line| line[..64].to_uppercase() + &line[64..] + "\n").collect();
    let others = [
        capitals,
        text.replace("  ", "  ./"),
        text.replace("  ", " *"),
        text.replace('\n', "\r\n"),
        format!("# by hand\n{text}\n"),
    ];
    for other in others {
        assert_ne!(other, text);
        fs::write(folder.path().join(MANIFEST), other).unwrap();
        assert_eq!(faults(&folder), [""; 0]);
    }
}

#[test]
fn links_out_of_the_folder_are_no_files_of_it_and_links_within_are() {
    let (folder, other) = (folder(), tempfile::tempdir().unwrap());
    let config = folder.path().join("unet/config.json");
    fs::rename(&config, other.path().join("config.json")).unwrap();
    symlink(other.path().join("config.json"), &config).unwrap();
    assert!(faults(&folder)[0].starts_with("unfit    unet/config.json: it is a link out of the folder"));
    assert!(Manifest::of(folder.path(), &|_| ()).unwrap_err().to_string().contains("a link out of the folder"));
    fs::remove_file(&config).unwrap();
    symlink("nowhere", &config).unwrap();
    assert_eq!(faults(&folder), ["unfit    unet/config.json: it is a link that leads nowhere"]);
    fs::remove_file(&config).unwrap();
    symlink("..", &config).unwrap();
    assert_eq!(faults(&folder), ["unfit    unet/config.json: it is a link to something else than a file"]);
    fs::remove_file(&config).unwrap();
    fs::write(folder.path().join("unet/same"), NAMES[1]).unwrap();
    symlink("same", &config).unwrap();
    assert_eq!(faults(&folder), ["extra    unet/same"]);
}

#[test]
fn the_folder_itself_may_be_a_link() {
    let (folder, other) = (folder(), tempfile::tempdir().unwrap());
    let link = other.path().join("sd15");
    symlink(folder.path(), &link).unwrap();
    let list = Manifest::open(&link).unwrap().unwrap();
    assert_eq!(list.faults(&link, &|_| ()).unwrap(), []);
}

#[test]
fn what_is_hidden_in_the_folder_counts_only_if_it_is_listed() {
    let folder = folder();
    fs::create_dir(folder.path().join(".cache")).unwrap();
    fs::write(folder.path().join(".cache/etag"), "").unwrap();
    fs::write(folder.path().join(".gitattributes"), "*").unwrap();
    assert_eq!(faults(&folder), [""; 0]);
    assert_eq!(Manifest::of(folder.path(), &|_| ()).unwrap().len(), 3);
    fs::write(folder.path().join("unet/.hidden"), "").unwrap();
    assert_eq!(faults(&folder), ["extra    unet/.hidden"]);
    let list = folder.path().join(MANIFEST);
    let text = fs::read_to_string(&list).unwrap() + &"0".repeat(64) + "  .gitattributes\n";
    fs::write(&list, text).unwrap();
    assert_eq!(faults(&folder), ["changed  .gitattributes", "extra    unet/.hidden"]);
}

#[test]
fn names_that_no_list_can_hold_are_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
    fs::write(folder.path().join("two\nlines"), "").unwrap();
    let said = faults(&folder);
    assert!(said.len() == 2 && said.iter().all(|line| line.contains("its name cannot stand in a list")), "{said:?}");
}

#[test]
fn a_planted_draft_is_not_written_through() {
    let (folder, other) = (folder(), tempfile::NamedTempFile::new().unwrap());
    symlink(other.path(), folder.path().join(DRAFT)).unwrap();
    Manifest::of(folder.path(), &|_| ()).unwrap().write(folder.path()).unwrap();
    assert_eq!(fs::metadata(other.path()).unwrap().len(), 0);
    assert_eq!(faults(&folder), [""; 0]);
}

#[test]
fn a_folder_without_a_list_has_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Manifest::open(folder.path()).unwrap(), None);
    fs::create_dir(folder.path().join(MANIFEST)).unwrap();
    assert!(Manifest::open(folder.path()).unwrap_err().to_string().contains("it must be a file"));
}
