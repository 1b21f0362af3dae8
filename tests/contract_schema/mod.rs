//! Writes the contract down for machines: JSON Schemas of every JSON message, and the AsyncAPI document of every topic.
//!
//! Bounds come from the unit types and names from the tables of the program, so a changed bound changes the documents.
//! They are checked in under `docs/contract/`; `cargo run --example contract` renews them, and a test sees whether
//! that was forgotten. To add a field, add a row where its neighbours stand.

pub mod asyncapi;
pub mod build;
pub mod orders;
pub mod reports;
pub mod request;
pub mod retained;
pub mod topics;

use serde_json::Value;

/// Every file below `docs/contract/` that is generated, with its content.
pub fn documents() -> Vec<(String, Value)> {
    let schemas = schemas().into_iter().map(|(name, schema)| (file(name), schema));
    schemas.chain([("asyncapi.json".to_owned(), asyncapi::document())]).collect()
}

/// The JSON Schemas by the names of their messages.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("request", request::request()),
        ("defaults-set", request::defaults_set()),
        ("command", orders::command()),
        ("admin", orders::admin()),
        ("answer", orders::answer()),
        ("status", reports::status()),
        ("progress", reports::progress()),
        ("manifest", reports::manifest()),
        ("info", retained::info()),
        ("state", retained::state()),
        ("defaults", retained::defaults()),
    ]
}

/// The file of a schema.
pub fn file(schema: &str) -> String {
    format!("{schema}.schema.json")
}

/// A document as it is checked in.
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}
