//! Payloads, JSON, prompts and ids that are wrong, and some that only look so.

use super::row::{DONE, Row};

const DEEP: usize = 10_000;

pub fn rows() -> Vec<Row> {
    [payloads(), json(), numbers(), prompts(), ids(), versions()].into_iter().flatten().collect()
}

fn payloads() -> Vec<Row> {
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let request = r#"{"prompt":"x"}"#;
    let marked = |order: fn(u16) -> [u8; 2]| utf16(&format!("\u{feff}{request}"), order);
    vec![
        Row::new("{", "malformed", ""),
        Row::new("  \n\t{", "malformed", ""),
        Row::new("x", DONE, ""),
        Row::new(" \n a cat \t", DONE, ""),
        Row::new("[1,2]", DONE, ""),
        Row::new("\"a cat\"", DONE, ""),
        Row::new(request, DONE, "").qos(0),
        Row::new(request, DONE, "").qos(2),
        Row::new(request, "retained_request", "").retained(),
        Row::new("plain text", "retained_request", "").retained(),
        Row::new("{", "retained_request", "").retained(),
        Row::new(b"\xff\xfea cat".as_slice(), "malformed", ""),
        Row::new(b"a cat \xc0\x80".as_slice(), "malformed", ""),
        Row::new(b"a cat \xed\xa0\x80".as_slice(), "malformed", ""),
        Row::new(b"a cat \xf4\x90\x80\x80".as_slice(), "malformed", ""),
        Row::new(b"half a letter \xe2\x82".as_slice(), "malformed", ""),
        Row::new(utf16(request, u16::to_le_bytes), "malformed", ""),
        Row::new(utf16(request, u16::to_be_bytes), "invalid_field", "prompt"),
        Row::new(marked(u16::to_le_bytes), "malformed", ""),
        Row::new(marked(u16::to_be_bytes), "malformed", ""),
        Row::new(format!("\u{feff}{request}"), "malformed", ""),
        Row::new("x".repeat(1_000_001), "payload_too_large", ""),
        Row::new(format!("{request}{}", " ".repeat(1_000_000)), "payload_too_large", ""),
        Row::new(format!("x{}", "\u{301}".repeat(510_000)), "payload_too_large", ""),
    ]
}

fn json() -> Vec<Row> {
    let texts = [
        r#"{"prompt":"x""#,
        r#"{"prompt":"x"} y"#,
        r#"{"prompt":"x"}{"prompt":"x"}"#,
        r#"{"prompt":"x",}"#,
        r#"{"prompt":"x" "steps":4}"#,
        r#"{prompt:"x"}"#,
        r#"{'prompt':'x'}"#,
        r#"{"prompt":"x",/* a comment */"steps":4}"#,
        r#"{"prompt":"x","prompt":"y"}"#,
        r#"{"prompt":"x","\u0070rompt":"y"}"#,
        r#"{"prompt":"x","output":{"format":"png","format":"bmp"}}"#,
        r#"{"prompt":"x","loras":[{"name":"style","name":"wide"}]}"#,
        r#"{"prompt":"\ud800"}"#,
        r#"{"prompt":"\udc00\ud800"}"#,
        r#"{"prompt":"\x41"}"#,
        r#"{"prompt":"x","steps":+4}"#,
        r#"{"prompt":"x","steps":04}"#,
        r#"{"prompt":"x","steps":0x10}"#,
        r#"{"prompt":"x","eta":.5}"#,
        r#"{"prompt":"x","eta":NaN}"#,
        r#"{"prompt":"x","eta":Infinity}"#,
        r#"{"prompt":"x","eta":-Infinity}"#,
        r#"{"prompt":"x","eta":1e999}"#,
        r#"{"prompt":"x","eta":-1e999}"#,
        r#"{"prompt":"x","progress":True}"#,
        r#"{"prompt":"x","progress":undefined}"#,
        "{\"prompt\":\"two\nlines\"}",
        "{\"prompt\":\"a\0cat\"}",
    ];
    let bytes: [&[u8]; 4] = [
        b"{\"prompt\":\"\xff\"}",
        b"{\"prompt\":\"\xc0\xaf\"}",
        b"{\"prompt\":\"\xed\xb0\x80\"}",
        b"{\"prompt\":\"x\"}\0",
    ];
    let deep = [
        format!(r#"{{"prompt":{}"#, "[".repeat(DEEP)),
        format!(r#"{{"prompt":{}{}}}"#, "[".repeat(DEEP), "]".repeat(DEEP)),
        format!(r#"{{"prompt":"x","tags":{}1{}}}"#, r#"{"a":"#.repeat(DEEP), "}".repeat(DEEP)),
        format!("{}{}", r#"{"a":"#.repeat(DEEP), "}".repeat(DEEP)),
    ];
    let malformed = |payload: Vec<u8>| Row::new(payload, "malformed", "");
    let texts = texts.into_iter().map(|text| malformed(text.into()));
    let bytes = bytes.into_iter().map(|bytes| malformed(bytes.into()));
    texts.chain(bytes).chain(deep.into_iter().map(|text| malformed(text.into()))).collect()
}

/// Numbers that other readers round, cut or turn into something else.
fn numbers() -> Vec<Row> {
    let wrong = [
        (r#""seed":9007199254740992"#, "seed"),
        (r#""seed":9007199254740993"#, "seed"),
        (r#""seed":18446744073709551616"#, "seed"),
        (r#""seed":-2"#, "seed"),
        (r#""seed":-9223372036854775809"#, "seed"),
        (r#""seed":1e3"#, "seed"),
        (r#""seed":9007199254740991,"count":2"#, "seed"),
        (r#""steps":-0"#, "steps"),
        (r#""steps":4.0"#, "steps"),
        (r#""steps":9223372036854775807"#, "steps"),
        (r#""steps":18446744073709551615"#, "steps"),
        (r#""steps":65540"#, "steps"),
        (r#""steps":1e308"#, "steps"),
        (r#""width":4294967360"#, "width"),
        (r#""width":2147483648,"height":2147483648"#, "width"),
        (r#""guidance_scale":1e308"#, "guidance_scale"),
        (r#""guidance_scale":-5e-324"#, "guidance_scale"),
    ];
    let right = [r#""eta":-0.0"#, r#""eta":5e-324"#, r#""seed":9007199254740991"#, r#""seed":null"#, r#""seed":-1"#];
    let wrong = wrong.into_iter().map(|(member, field)| Row::with(member, "invalid_field", field));
    wrong.chain(right.into_iter().map(|member| Row::with(member, DONE, ""))).collect()
}

fn prompts() -> Vec<Row> {
    let json = |prompt: &str| serde_json::json!({"prompt": prompt}).to_string();
    let most = "é".repeat(4000);
    let many = vec!["a"; 17].join(" AND ");
    vec![
        Row::new("{}", "invalid_field", "prompt"),
        Row::new(json(""), "invalid_field", "prompt"),
        Row::new(json(" \t\r\n\u{3000}"), "invalid_field", "prompt"),
        Row::new("   \n", "invalid_field", "prompt"),
        Row::new(json("a\0b"), "invalid_field", "prompt"),
        Row::new("a\0b", "invalid_field", "prompt"),
        Row::with(r#""negative_prompt":"a\u0000b""#, "invalid_field", "negative_prompt"),
        Row::new(json(&format!("{most}e")), "prompt_too_long", "prompt"),
        Row::new(format!("{most}e"), "prompt_too_long", "prompt"),
        Row::new(format!("x{}", "\u{301}".repeat(400_000)), "prompt_too_long", "prompt"),
        Row::with(&format!(r#""negative_prompt":"{most}e""#), "prompt_too_long", "negative_prompt"),
        Row::new(json(&many), "invalid_field", "prompt"),
        Row::new(json(&format!("{}x", "(".repeat(3999))), DONE, ""),
        Row::new(json(&format!("{}x", "[".repeat(3999))), DONE, ""),
        Row::new(json(&most), DONE, ""),
        Row::new(json("\u{202e}قط אדום\u{200d}\u{200b}\u{feff}"), DONE, ""),
        Row::new(json("tab\tline\nbell\u{7}escape\u{1b}[31mdelete\u{7f}"), DONE, ""),
        Row::new(json("\u{fffe}\u{10ffff}\u{e000}"), DONE, ""),
        Row::new(json("\\u0000 %s %n ${jndi:ldap://x} '; DROP TABLE jobs; --"), DONE, ""),
        Row::new(json("<lora:none:0.5>"), "unknown_adapter", "prompt"),
        Row::new(json("<lora:../../etc/passwd:1>"), "unknown_adapter", "prompt"),
        Row::new(json("<hypernet:none:1>"), "unknown_adapter", "prompt"),
        Row::new(json("<dreamartist:style>"), "unknown_adapter", "prompt"),
        Row::new(json("<lora:wide>"), "adapter_mismatch", "prompt"),
        Row::with(r#""negative_prompt":"narrow""#, "adapter_mismatch", "negative_prompt"),
    ]
}

fn ids() -> Vec<Row> {
    let long = "i".repeat(65);
    let wrong = [
        "", "../x", "a/b", "ü", "#", "+", "$SYS", "a b", "a.b", "a\0", "\u{430}", "%2e%2e", "request", "reply",
        "command", &long,
    ];
    let id = |id: &str| serde_json::json!({"prompt": "x", "id": id}).to_string();
    let wrong = wrong.iter().map(|text| Row::new(id(text), "invalid_field", "id"));
    let right = ["-", "_", "0", "status", "image", &long[1..]];
    wrong.chain(right.iter().map(|text| Row::new(id(text), DONE, ""))).collect()
}

fn versions() -> Vec<Row> {
    let wrong = ["2", "0", "-1", "\"1\"", "1.0", "null", "true", "[1]", "99999999999999999999"];
    wrong.iter().map(|v| Row::with(&format!(r#""v":{v}"#), "unsupported_version", "v")).collect()
}
