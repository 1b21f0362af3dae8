//! What must hold whatever comes, one function for each reader of a stranger's bytes. The fuzz targets and the test
//! `properties` call the same ones.
//!
//! Each takes bytes and panics if something does not hold.

mod draw;
mod ground;

pub mod command;
pub mod config;
pub mod defaults;
pub mod join;
pub mod output;
pub mod picture;
pub mod reply;
pub mod request;
pub mod topics;
pub mod wire;

/// A property under the name of its target.
pub type Property = fn(&[u8]);

/// All of them.
pub const ALL: [(&str, Property); 10] = [
    ("command", command::check),
    ("config", config::check),
    ("defaults", defaults::check),
    ("join", join::check),
    ("output", output::check),
    ("picture", picture::check),
    ("reply", reply::check),
    ("request", request::check),
    ("topics", topics::check),
    ("wire", wire::check),
];
