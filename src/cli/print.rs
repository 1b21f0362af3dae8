//! Where results go.

use std::fmt::Display;
use std::io::Write;

use super::CliError;

/// A result goes to stdout, which carries nothing else.
pub(super) fn say(line: &dyn Display) -> Result<(), CliError> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| CliError::Io(format!("stdout cannot be written: {error}")))
}
