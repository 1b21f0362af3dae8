//! Commands and an administrator's orders that cannot be read or carried out.

use super::row::{Door, Row};

pub fn rows() -> Vec<Row> {
    both().into_iter().chain(commands()).chain(admin()).collect()
}

/// What is wrong for both kinds.
fn both() -> Vec<Row> {
    let deep = format!(r#"{{"command":{}"#, "[".repeat(10_000));
    let malformed = [
        "{",
        "cancel!",
        "[]",
        "7",
        "null",
        "",
        " ",
        r#"{"command":"cancel"} x"#,
        r#"{"command":"list","command":"list"}"#,
        r#"{"command":"\ud800"}"#,
        &deep,
    ];
    // An empty message gets its answer like any other that is no order.
    let malformed = malformed.iter().map(|text| (*text, "malformed", ""));
    let invalid = [
        (r#"{}"#, "invalid_field", "command"),
        (r#"{"command":"dance"}"#, "invalid_field", "command"),
        (r#"{"command":"Cancel"}"#, "invalid_field", "command"),
        (r#"{"command":7}"#, "invalid_field", "command"),
        (r#"{"command":null}"#, "invalid_field", "command"),
        (r#"{"command":["cancel"]}"#, "invalid_field", "command"),
        (r#"{"id":"","command":"repeat"}"#, "invalid_field", "id"),
        (r#"{"id":"../x","command":"repeat"}"#, "invalid_field", "id"),
        (r#"{"id":7,"command":"repeat"}"#, "invalid_field", "id"),
        (r#"{"id":"reply","command":"repeat"}"#, "invalid_field", "id"),
    ];
    malformed
        .chain(invalid)
        .flat_map(|(text, code, field)| [Door::Command, Door::Admin].map(|door| Row::new(text, code, field).to(door)))
        .chain([Door::Command, Door::Admin].into_iter().flat_map(|door| {
            let large = format!(r#"{{"command":"repeat"{}}}"#, " ".repeat(1_000_000));
            [
                Row::new(large, "payload_too_large", "").to(door),
                Row::new(r#"{"command":"repeat"}"#, "retained_request", "").retained().to(door),
                Row::new(b"\xff\xfe".as_slice(), "malformed", "").to(door),
            ]
        }))
        .collect()
}

const WRONG: &[(&str, &str)] = &[
    (r#"{"command":"cancel"}"#, "job"),
    (r#"{"command":"cancel","job":""}"#, "job"),
    (r#"{"command":"cancel","job":"a/b"}"#, "job"),
    (r#"{"command":"cancel","job":"**"}"#, "job"),
    (r#"{"command":"cancel","job":7}"#, "job"),
    (r#"{"command":"cancel","job":null}"#, "job"),
    (r#"{"command":"cancel","job":["a"]}"#, "job"),
    (r#"{"command":"cancel","job":"a","k":0}"#, "\"k\""),
    (r#"{"command":"cancel","job":"a","client":"other"}"#, "\"client\""),
    (r#"{"command":"get"}"#, "job"),
    (r#"{"command":"get","job":"*"}"#, "job"),
    (r#"{"command":"get","job":"a","k":-1}"#, "k"),
    (r#"{"command":"get","job":"a","k":16}"#, "k"),
    (r#"{"command":"get","job":"a","k":"0"}"#, "k"),
    (r#"{"command":"get","job":"a","k":0.5}"#, "k"),
    (r#"{"command":"get","job":"a","parts":[1]}"#, "k"),
    (r#"{"command":"get","job":"a","k":0,"parts":[]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":7}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":[-1]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":[[5,3]]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":[[1,2,3]]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":[[]]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":[4294967296]}"#, "parts"),
    (r#"{"command":"get","job":"a","k":0,"parts":["1"]}"#, "parts"),
    (r#"{"command":"list"}"#, "what"),
    (r#"{"command":"list","what":"cats"}"#, "what"),
    (r#"{"command":"list","what":7}"#, "what"),
    (r#"{"command":"list","what":"jobs","limit":0}"#, "limit"),
    (r#"{"command":"list","what":"jobs","limit":33}"#, "limit"),
    (r#"{"command":"list","what":"jobs","limit":-1}"#, "limit"),
    (r#"{"command":"list","what":"jobs","limit":1.5}"#, "limit"),
    (r#"{"command":"list","what":"jobs","after":7}"#, "after"),
    (r#"{"command":"repeat","job":"a"}"#, "\"job\""),
    (r#"{"command":"pause"}"#, "command"),
    (r#"{"command":"clear"}"#, "command"),
];

fn commands() -> Vec<Row> {
    let many = (0..65).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let others = [
        Row::new(format!(r#"{{"command":"get","job":"a","k":0,"parts":[{many}]}}"#), "invalid_field", "parts"),
        Row::new(r#"{"command":"cancel","job":"nobody"}"#, "not_found", "job"),
        Row::new(r#"{"command":"get","job":"nobody"}"#, "not_found", "job"),
        Row::new(r#"{"command":"get","job":"nobody","k":0,"parts":[[0,4294967295]]}"#, "not_found", "job"),
        Row::new(r#"{"command":"repeat"}"#, "not_found", ""),
        Row::new(r#"{"command":"repeat","v":2}"#, "unsupported_version", "v"),
    ];
    let wrong = WRONG.iter().map(|(text, field)| Row::new(*text, "invalid_field", field));
    wrong.chain(others).map(|row| row.to(Door::Command)).collect()
}

fn admin() -> Vec<Row> {
    let rows = [
        Row::new(r#"{"command":"cancel","job":"*"}"#, "invalid_field", "command"),
        Row::new(r#"{"command":"pause","client":"esp32"}"#, "invalid_field", "\"client\""),
        Row::new(r#"{"command":"clear","job":"a"}"#, "invalid_field", "\"job\""),
        Row::new(r#"{"command":"drain","v":2}"#, "unsupported_version", "v"),
        Row::new(r#"{"command":"shutdown"}"#, "invalid_field", "command"),
        Row::new(r#"{"command":"announce","at":"now"}"#, "invalid_field", "\"at\""),
    ];
    rows.into_iter().map(|row| row.to(Door::Admin)).collect()
}
