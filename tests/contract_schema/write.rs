//! `cargo run --example contract` writes `docs/contract/` anew.

// The module is shared with the tests, which use more of it.
#![allow(dead_code, unreachable_pub)]

#[path = "mod.rs"]
mod contract_schema;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/contract");
    for (name, document) in contract_schema::documents() {
        std::fs::write(folder.join(name), contract_schema::text(&document))?;
    }
    Ok(())
}
