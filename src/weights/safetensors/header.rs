//! The JSON header of a safetensors file.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::weights::tensors::MOST_DIMENSIONS;
use crate::weights::{Dtype, WeightsError};

/// A checkpoint of SDXL has about 2500 tensors, a LoRA of every kind of layer fewer than 10 000.
const MOST_TENSORS: usize = 100_000;

/// The name that is no tensor's.
const METADATA: &str = "__metadata__";

/// What the header says, unchecked but for doubled names.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) tensors: BTreeMap<String, Info>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Where the header ends and the tensors begin, in bytes from the beginning of the file.
    pub(super) end: u64,
}

/// What the header says of one tensor.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    #[serde(deserialize_with = "dtype")]
    pub(super) dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    pub(super) shape: Vec<usize>,
    /// Begin and end in bytes from the end of the header.
    pub(super) data_offsets: [u64; 2],
}

impl Header {
    /// Parses the header that ends at `end`.
    pub(super) fn parse(json: &[u8], end: u64) -> Result<Self, WeightsError> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let header = deserializer.deserialize_map(Entries { end }).and_then(|header| {
            deserializer.end()?;
            Ok(header)
        });
        header.map_err(|error| WeightsError::malformed(format!("the header is wrong: {error}")))
    }
}

/// Takes the entries one by one, so that too many end the reading and a name that comes twice is seen.
struct Entries {
    end: u64,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = BTreeMap::new();
        let mut metadata: Option<Option<BTreeMap<String, String>>> = None;
        while let Some(name) = map.next_key::<String>()? {
            if tensors.contains_key(&name) || name == METADATA && metadata.is_some() {
                return Err(Error::custom(format!("{name:?} comes twice")));
            }
            if name == METADATA {
                metadata = Some(map.next_value()?);
                continue;
            }
            if tensors.len() == MOST_TENSORS {
                return Err(Error::custom(format!("there must be at most {MOST_TENSORS} tensors")));
            }
            let info = map.next_value().map_err(|error| Error::custom(format!("tensor {name:?}: {error}")))?;
            tensors.insert(name, info);
        }
        Ok(Header { tensors, metadata: metadata.flatten().unwrap_or_default(), end: self.end })
    }
}

fn dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dtype, D::Error> {
    let name = String::deserialize(deserializer)?;
    Dtype::named(&name).ok_or_else(|| Error::custom(format!("the element type {name:?} is not supported")))
}

/// Sides until there are too many, so that a shape of a million sides takes no memory.
fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Sides;
    impl<'de> Visitor<'de> for Sides {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the sides of a tensor")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<usize>, A::Error> {
            let mut sides = Vec::new();
            while let Some(side) = sequence.next_element()? {
                if sides.len() == MOST_DIMENSIONS {
                    return Err(Error::custom(format!("a tensor must have at most {MOST_DIMENSIONS} dimensions")));
                }
                sides.push(side);
            }
            Ok(sides)
        }
    }
    deserializer.deserialize_seq(Sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        Header::parse(json.as_bytes(), 0).unwrap_err().to_string()
    }

    fn tensor(shape: &str) -> String {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}"#)
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        let twice = format!(r#"{{"a":{0},"a":{0}}}"#, tensor("[0]"));
        assert!(refusal(&twice).contains("\"a\" comes twice"), "{}", refusal(&twice));
        assert!(refusal(r#"{"__metadata__":{},"__metadata__":{}}"#).contains("\"__metadata__\" comes twice"));
        assert!(Header::parse(br#"{"__metadata__":null}"#, 0).is_ok(), "the reference takes nothing for no metadata");
    }

    #[test]
    fn more_tensors_than_any_network_has_are_refused_and_ten_thousand_are_read() {
        let many = |count: usize| {
            let entries: Vec<String> = (0..count).map(|n| format!("\"{n}\":{}", tensor("[0]"))).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(refusal(&many(MOST_TENSORS + 1)).contains("at most 100000 tensors"));
        assert_eq!(Header::parse(many(10_000).as_bytes(), 0).unwrap().tensors.len(), 10_000);
    }

    #[test]
    fn wrong_entries_are_refused_with_the_name_of_the_tensor() {
        let unknown = r#"{"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#;
        assert!(refusal(unknown).contains("tensor \"w\": the element type \"F4\" is not supported"));
        let deep = format!(r#"{{"w":{}}}"#, tensor(&format!("[{}1]", "1,".repeat(8))));
        assert!(refusal(&deep).contains("tensor \"w\": a tensor must have at most 8 dimensions"));
        let negative = format!(r#"{{"w":{}}}"#, tensor("[-1]"));
        assert!(refusal(&negative).contains("tensor \"w\""));
        assert!(refusal(r#"{"w":{"dtype":"F32","shape":[1]}}"#).contains("data_offsets"));
    }

    #[test]
    fn one_tensor_of_an_odd_type_does_not_spoil_the_file() {
        for (name, size) in [("F8_E4M3", 1), ("F8_E5M2", 1), ("U16", 2), ("U32", 4), ("U64", 8), ("C64", 8)] {
            let json = format!(r#"{{"w":{{"dtype":"{name}","shape":[1],"data_offsets":[0,{size}]}}}}"#);
            assert_eq!(Header::parse(json.as_bytes(), 0).unwrap().tensors["w"].dtype.size(), size, "{name}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "[]", "{", "{}x", "\u{0}", &"[".repeat(100_000), &"{\"a\":".repeat(100_000)] {
            assert!(refusal(text).starts_with("the header is wrong"), "{text:.20}");
        }
        assert!(Header::parse(b"{}   ", 5).is_ok(), "the reference pads with spaces");
    }
}
