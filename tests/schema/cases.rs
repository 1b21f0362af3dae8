//! Documents at and beyond the bounds of a schema, each differing from a good one in one value.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A document and the JSON pointer of what differs in it.
pub struct Case {
    pub place: String,
    pub document: Value,
}

/// An object in a document, and the fields that its schema lists.
pub struct Place {
    pub pointer: String,
    pub fields: BTreeSet<String>,
}

/// For every field: values of every type, the bounds, what lies just outside, every name and one more; and an unknown
/// field in every object.
pub fn cases(schema: &Value, base: &Value) -> Vec<Case> {
    let mut all = vec![Case { place: String::new(), document: base.clone() }];
    for place in places(schema, base) {
        let object = schema_at(schema, &place.pointer).unwrap();
        for (field, own) in object["properties"].as_object().unwrap() {
            let pointer = format!("{}/{field}", place.pointer);
            let mut values = values_of(own, base.pointer(&pointer));
            values.dedup();
            all.extend(values.into_iter().map(|value| changed(base, &place.pointer, field, Some(value))));
            all.push(changed(base, &place.pointer, field, None));
        }
        all.push(changed(base, &place.pointer, "unknown", Some(json!(1))));
    }
    all
}

/// The objects of the base document, the document itself first.
pub fn places(schema: &Value, base: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    walk(schema, base, "", &mut found);
    found
}

fn walk(schema: &Value, base: &Value, pointer: &str, found: &mut Vec<Place>) {
    for shape in shapes(schema) {
        match (shape["properties"].as_object(), base) {
            (Some(properties), Value::Object(_)) => {
                found.push(Place { pointer: pointer.to_owned(), fields: properties.keys().cloned().collect() });
                for (field, own) in properties {
                    walk(own, &base[field], &format!("{pointer}/{field}"), found);
                }
            }
            (None, Value::Array(items)) if !items.is_empty() => {
                walk(&shape["items"], &items[0], &format!("{pointer}/0"), found);
            }
            _ => {}
        }
    }
}

fn schema_at(schema: &Value, pointer: &str) -> Option<Value> {
    let Some((field, rest)) = pointer.strip_prefix('/').map(|rest| rest.split_once('/').unwrap_or((rest, ""))) else {
        return shapes(schema).into_iter().find(|shape| shape.get("properties").is_some()).cloned();
    };
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    shapes(schema).into_iter().find_map(|shape| {
        let inner = if field == "0" { shape.get("items") } else { shape["properties"].get(field) };
        schema_at(inner?, &rest)
    })
}

/// The schema itself, or those of which it is one.
fn shapes(schema: &Value) -> Vec<&Value> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array()).map_or(vec![schema], |all| all.iter().collect())
}

fn changed(base: &Value, pointer: &str, field: &str, value: Option<Value>) -> Case {
    let mut document = base.clone();
    let object = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(object.insert(field.to_owned(), value)),
        None => drop(object.shift_remove(field)),
    }
    Case { place: format!("{pointer}/{field}"), document }
}

fn values_of(schema: &Value, good: Option<&Value>) -> Vec<Value> {
    let mut values =
        vec![Value::Null, json!(true), json!("x"), json!(1), json!(2.5), json!([]), json!({}), json!([[]])];
    for shape in shapes(schema) {
        values.extend(bounds(shape));
        values.extend(texts(shape));
        values.extend(names(shape));
        if let (Some(most), Some(Value::Array(items))) = (shape["maxItems"].as_u64(), good) {
            let many = |count: u64| (0..count).map(|_| items[0].clone()).collect::<Value>();
            values.extend([many(most), many(most + 1), many(most - 1)]);
        }
    }
    values.extend(shape_of_pairs(schema));
    values
}

fn bounds(schema: &Value) -> Vec<Value> {
    let (Some(low), Some(high)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64()) else { return Vec::new() };
    if schema["type"] == json!("number") {
        // Not the very next number: the parser reads the last digit of a number only nearly.
        let bit = 1e-9 * (high - low);
        return vec![json!(low), json!(high), json!(low - bit), json!(high + bit), json!((low + high) / 2.0)];
    }
    let (low, high) = (low as i64, high as i64);
    [low - 1, low, low + 1, high - 1, high, high + 1].map(Value::from).to_vec()
}

fn texts(schema: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    if let Some(most) = schema["maxLength"].as_u64() {
        let most = most as usize;
        values.extend([json!("ü".repeat(most)), json!("ü".repeat(most + 1))]);
    }
    if schema.get("pattern").is_some() || schema.get("maxLength").is_some() || schema.get("minLength").is_some() {
        let samples = [
            "",
            " ",
            "a",
            "a-b_c",
            "a.b",
            "a/b",
            "a/0",
            "a/15",
            "a/16",
            "a b",
            "\0",
            "ü",
            "reply",
            "request",
            "command",
            "*",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.678Z",
            "2026-01-02T03:04:05+01:00",
            "2026-01-02",
            "tomorrow",
        ];
        values.extend(samples.map(Value::from));
        values.extend([json!("a".repeat(64)), json!("a".repeat(65))]);
    }
    values
}

fn names(schema: &Value) -> Vec<Value> {
    let mut values = schema["enum"].as_array().cloned().unwrap_or_default();
    values.extend(schema.get("const").cloned());
    let more: Vec<Value> = values
        .iter()
        .filter_map(Value::as_str)
        .take(1)
        .flat_map(|name| [json!(format!("{name}x")), json!(name.to_uppercase())])
        .collect();
    values.extend(more);
    if schema["enum"][0].is_number() {
        values.extend([json!(-90), json!(45), json!(360)]);
    }
    values
}

/// Intervals, ranges of parts, tags: whatever is made of pairs.
fn shape_of_pairs(schema: &Value) -> Vec<Value> {
    let tags = |count: usize| (0..count).map(|index| (format!("k{index}"), json!("v"))).collect::<Value>();
    match (schema["type"].as_str(), schema.get("additionalProperties").is_some_and(Value::is_object)) {
        (Some("object"), true) => vec![
            tags(8),
            tags(9),
            json!({"a": 1}),
            json!({"a": "x".repeat(64)}),
            json!({"a": "x".repeat(65)}),
            json!({"a".repeat(64): ""}),
            json!({"a".repeat(65): ""}),
        ],
        (Some("array"), _) => {
            vec![
                json!([0, 1]),
                json!([0.2, 1.1]),
                json!([-1, 0]),
                json!([0]),
                json!([0, 0.5, 1]),
                json!([0, [1, 2]]),
                json!([[1, 2, 3]]),
            ]
        }
        _ => Vec::new(),
    }
}
