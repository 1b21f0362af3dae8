//! The command line: one file a verb.

mod bundled;
mod error;
pub mod generate;
mod progress;

pub use error::CliError;
