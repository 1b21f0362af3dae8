//! JSON as requests may use it: an object without duplicate keys, nested no deeper than the parser's limit.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::outcome::{Code, Rejection};

/// Reads one JSON object, and nothing after it.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Rejection> {
    let malformed = |what: String| Rejection::new(Code::Malformed, what);
    let text = std::str::from_utf8(bytes).map_err(|fault| malformed(format!("a request must be UTF-8: {fault}")))?;
    match serde_json::from_str::<Unique>(text) {
        Ok(Unique(Value::Object(map))) => Ok(map),
        Ok(_) => Err(malformed("a request must be a JSON object".to_owned())),
        // Only the place is told: serde's own sentence could quote the prompt.
        Err(fault) if fault.is_data() => Err(malformed(format!(
            "a JSON object must not name a key twice, near line {} column {}",
            fault.line(),
            fault.column()
        ))),
        Err(fault) => Err(malformed(format!(
            "a request must be JSON, it breaks at line {} column {}",
            fault.line(),
            fault.column()
        ))),
    }
}

/// A value in which no object has the same key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without duplicate keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Unique(value))) = access.next_entry::<String, Unique>()? {
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_stands() {
        let map = object(br#"{"a":[1,-2,2.5,true,null,"x"],"b":{"c":18446744073709551615}}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&map).unwrap(),
            r#"{"a":[1,-2,2.5,true,null,"x"],"b":{"c":18446744073709551615}}"#
        );
    }

    #[test]
    fn what_is_not_one_clean_object_is_malformed() {
        let deep = "[".repeat(10_000);
        let faults: [&[u8]; 9] = [
            b"{",
            b"[]",
            b"{} x",
            b"{\"a\":1,\"a\":2}",
            b"{\"o\":{\"a\":1,\"a\":2}}",
            b"{\"a\":1e999}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            deep.as_bytes(),
        ];
        for fault in faults {
            assert_eq!(
                object(fault).unwrap_err().code,
                Code::Malformed,
                "{}",
                String::from_utf8_lossy(&fault[..fault.len().min(20)])
            );
        }
    }

    #[test]
    fn the_message_does_not_quote_the_request() {
        assert!(!object(br#"{"prompt":"secret cat" oops"#).unwrap_err().message.contains("secret"));
    }
}
