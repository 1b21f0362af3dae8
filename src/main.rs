//! Arguments to verb to exit code; the rest is in the library.

fn main() -> std::process::ExitCode {
    diffused::cli::main(std::env::args_os())
}
