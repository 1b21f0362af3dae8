//! Choices out of bytes: the fuzzer changes bytes, and the choices change with them.

use serde_json::{Map, Value, json};

/// Bytes that are used up by choices; once they are, every choice is the first.
pub struct Draw<'a>(pub &'a [u8]);

impl<'a> Draw<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number below `limit`, which is at most 65536.
    pub fn below(&mut self, limit: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % limit.max(1)
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most + 1).min(self.0.len());
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head
    }

    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(self.bytes(most)).into_owned()
    }

    /// An object of some of these fields, each with a value that fits it, nearly fits it, or does not.
    pub fn object(&mut self, fields: &[(&str, &[&str])]) -> Map<String, Value> {
        let mut map = Map::new();
        while !self.is_done() && map.len() < 40 {
            let (name, good) = self.one_of(fields);
            let value = match self.byte() {
                0..=179 if !good.is_empty() => serde_json::from_str(self.one_of(good)).expect("a value of the table"),
                _ => self.value(3),
            };
            map.insert(name.to_owned(), value);
        }
        map
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.byte() % 12 {
            0 => Value::Null,
            1 => json!(self.byte().is_multiple_of(2)),
            2 => json!(self.byte()),
            3 => json!(self.number() as i64),
            4 => json!(self.number()),
            5 => json!(f64::from_bits(self.number())),
            6 => json!(f64::from(self.byte()) / 16.0 - 2.0),
            7 => {
                json!(self.one_of(&[0, 1, -1, 7, 8, 63, 64, 150, 151, 511, 512, 8192, 8200, 9_007_199_254_740_991_i64]))
            }
            8 => json!(self.text(40)),
            9 if depth > 0 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            10 if depth > 0 => {
                (0..self.below(4)).map(|_| (self.text(8), self.value(depth - 1))).collect::<Map<_, _>>().into()
            }
            _ => json!(self.one_of(&["", "x", "png", "a/0", "../x", "karras", "\u{0}", "ü"])),
        }
    }
}
