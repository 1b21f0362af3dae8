//! Small words from which schemas are put together.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// One key of an object: its name, what it may be, what it means.
pub type Row = (&'static str, Value, &'static str);

/// A whole schema document.
pub fn document(name: &str, title: &str, schema: Value) -> Value {
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:diffused:contract:1.0:{name}"),
        "title": title,
    });
    with(head, schema)
}

/// An object of these keys in this order; unknown keys are allowed, as readers of what we write must allow them.
pub fn object(required: &[&str], rows: Vec<Row>) -> Value {
    let properties: Map<String, Value> =
        rows.into_iter().map(|(name, schema, meaning)| (name.to_owned(), meaning_of(schema, meaning))).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// As [`object`], without any other key: what we read.
pub fn closed(required: &[&str], rows: Vec<Row>) -> Value {
    with(object(required, rows), json!({"additionalProperties": false}))
}

/// A whole number.
pub fn whole<T: Copy + Into<u64>>(range: RangeInclusive<T>) -> Value {
    let (low, high): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
    json!({"type": "integer", "minimum": low, "maximum": high})
}

/// A number.
pub fn real(range: RangeInclusive<f64>) -> Value {
    json!({"type": "number", "minimum": range.start(), "maximum": range.end()})
}

/// A count of something.
pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A text.
pub fn text() -> Value {
    json!({"type": "string"})
}

/// A text that looks like this.
pub fn like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// What a job or a command may be called.
pub fn id() -> Value {
    // Without a look-ahead, which not every language's patterns have.
    with(like("^[A-Za-z0-9_-]{1,64}$"), json!({"not": {"enum": ["request", "reply", "command"]}}))
}

/// What a node may be called.
pub fn node() -> Value {
    with(like("^[a-z0-9-]{1,32}$"), json!({"not": {"const": "pool"}}))
}

/// True or false.
pub fn flag() -> Value {
    json!({"type": "boolean"})
}

/// One of these names.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": names.into_iter().collect::<Vec<_>>()})
}

/// A list.
pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A list of at most so many.
pub fn short_list(items: Value, most: usize) -> Value {
    with(list(items), json!({"maxItems": most}))
}

/// What it is if nothing is said.
pub fn or(schema: Value, default: impl Into<Value>) -> Value {
    with(schema, json!({"default": default.into()}))
}

/// Null is as good as absent.
pub fn nullable(mut schema: Value) -> Value {
    match schema["type"].take() {
        Value::String(name) => with(schema, json!({"type": [name, "null"]})),
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// Two schemas as one; the second wins.
pub fn with(mut schema: Value, more: Value) -> Value {
    if let (Value::Object(schema), Value::Object(more)) = (&mut schema, more) {
        schema.extend(more);
    }
    schema
}

/// Exactly one of these shapes.
pub fn one_of(shapes: Vec<Value>) -> Value {
    json!({"oneOf": shapes})
}

fn meaning_of(schema: Value, meaning: &str) -> Value {
    if meaning.is_empty() { schema } else { with(schema, json!({"description": meaning})) }
}
