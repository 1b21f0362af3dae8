//! Arguments to verb to exit code; the rest is in the library.

use std::env::{args_os, current_exe, var_os};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Says whether ONNX Runtime may note its use for its makers.
const TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

fn main() -> ExitCode {
    if var_os(TELEMETRY).is_none() {
        begin_again();
    }
    diffused::cli::main(args_os())
}

/// ONNX Runtime 1.31 makes a device's number and a database of its use as soon as it is loaded, before it can be told not
/// to. Only the environment keeps it from that, which a process cannot change safely for itself, but for the next one.
///
/// Returns only if that cannot be; then everything but this goes on as it would.
fn begin_again() {
    let (mut arguments, Ok(program)) = (args_os(), current_exe()) else { return };
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let _ = command.args(arguments).env(TELEMETRY, "1").exec();
}
