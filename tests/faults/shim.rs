//! Compiles the shim and runs programs under it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::preload::compile;

/// What a program does under the shim.
#[derive(Default)]
pub struct Spell<'a> {
    /// The folder whose files are watched.
    pub root: &'a str,
    /// Where its operations are recorded.
    pub record: Option<&'a Path>,
    /// Where it says what was acknowledged.
    pub marks: Option<&'a Path>,
    /// The operation instead of which it dies, from 1.
    pub kill: Option<u64>,
    /// The file that makes operations fail.
    pub control: Option<&'a Path>,
}

impl Spell<'_> {
    /// Puts a command under the shim.
    pub fn cast(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("FAULTS_ROOT", self.root);
        let paths = [("FAULTS_RECORD", self.record), ("FAULTS_MARKS", self.marks), ("FAULTS_CONTROL", self.control)];
        for (name, path) in paths {
            if let Some(path) = path {
                command.env(name, path);
            }
        }
        if let Some(kill) = self.kill {
            command.env("FAULTS_KILL", kill.to_string());
        }
    }
}

/// The shim, compiled once a process.
fn library() -> PathBuf {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| compile(include_str!("shim.c")));
    path.clone()
}
