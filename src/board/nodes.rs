//! Device nodes of GPUs, and the groups that may use them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Board, entries, name, text};

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Such as `/dev/nvmap`, as a service sees it.
    pub path: PathBuf,
    /// The group that owns it, by its name or number; none if that is root's.
    pub group: Option<String>,
    /// Whether everybody may use it.
    pub is_open: bool,
}

/// Names below `/dev` that belong to NVIDIA's GPUs: Tegra's memory and hosts, its GPUs by folders, and discrete ones.
const NAMES: [&str; 4] = ["nvmap", "nvhost-", "nvidia", "nvsciipc"];
/// Folders below `/dev` with such nodes, and how those begin.
const FOLDERS: [(&str, &str); 3] = [("nvgpu", ""), ("dri", "renderD"), ("nvidia-caps", "")];
/// How deep such folders go.
const DEPTH: usize = 2;

impl Board {
    /// The device nodes that a GPU needs, as far as they are there; empty on a board without one.
    ///
    /// Render nodes alone are no GPU that ONNX Runtime could use.
    pub fn gpu_nodes(&self) -> Vec<Node> {
        let dev = self.root.join("dev");
        let named = entries(&dev).into_iter().filter(|path| NAMES.iter().any(|start| name(path).starts_with(start)));
        let mut paths: Vec<PathBuf> = named.filter(|path| is_device(path)).collect();
        for (folder, start) in FOLDERS {
            below(&dev.join(folder), start, DEPTH, &mut paths);
        }
        let is_nvidia = |path: &PathBuf| !path.starts_with(dev.join("dri"));
        if !paths.iter().any(is_nvidia) {
            return Vec::new();
        }
        let groups = text(&self.root.join("etc/group")).unwrap_or_default();
        paths.iter().filter_map(|path| self.node(path, &groups)).collect()
    }

    fn node(&self, path: &Path, groups: &str) -> Option<Node> {
        let facts = fs::metadata(path).ok()?;
        let number = facts.gid();
        let group = (number != 0).then(|| group(groups, number).unwrap_or_else(|| number.to_string()));
        let path = Path::new("/").join(path.strip_prefix(&self.root).ok()?);
        Some(Node { path, group, is_open: facts.mode() & 0o006 == 0o006 })
    }
}

/// Devices in a folder and those in it.
fn below(folder: &Path, start: &str, depth: usize, paths: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        match is_device(&path) {
            true if name(&path).starts_with(start) => paths.push(path),
            false if depth > 0 && path.is_dir() => below(&path, start, depth - 1, paths),
            _ => {}
        }
    }
}

fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.file_type().is_char_device())
}

/// The name of a group, from lines such as `video:x:44:anna`.
fn group(groups: &str, number: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut words = line.split(':');
        let name = words.next()?;
        (words.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    })
}
