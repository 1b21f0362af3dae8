//! Libraries in C that a program is started with. The example `store-drill` includes this file.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Compiles a library for `LD_PRELOAD`, with the C compiler that the build needs anyway; gone with the folder.
pub fn compile(source: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (text, library) = (folder.path().join("library.c"), folder.path().join("library.so"));
    std::fs::write(&text, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(&text);
    assert!(compiler.status().expect("a C compiler must be installed").success(), "the library cannot be compiled");
    (folder, library)
}
