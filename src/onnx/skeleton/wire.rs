//! Protobuf's wire format, one field at a time, so that large values need not be held.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::Malformed;

/// What may be held of a file in all, apart from the weights that stay in it. The graph of SDXL's U-Net takes 5 MB.
const ROOM: u64 = 256 << 20;

/// What holding a field costs beside its bytes.
const OVERHEAD: u64 = 128;

/// A file that is read field by field.
pub(super) struct Source<R> {
    file: BufReader<R>,
    at: u64,
    room: u64,
}

/// The head of a field.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) tag: u32,
    value: Value,
}

#[derive(Clone, Copy)]
enum Value {
    Number(u64),
    Fixed(u64),
    /// So many bytes follow.
    Bytes(u64),
}

impl Head {
    /// How long the value is, if it is a text, bytes or a message.
    pub(super) fn length(self) -> Option<u64> {
        match self.value {
            Value::Bytes(length) => Some(length),
            Value::Number(_) | Value::Fixed(_) => None,
        }
    }
}

impl<R: Read + Seek> Source<R> {
    /// The file from its beginning, and its length.
    pub(super) fn new(mut file: R) -> Result<(Self, u64), Malformed> {
        let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        Ok((Self { file: BufReader::with_capacity(1 << 16, file), at: 0, room: ROOM }, length))
    }

    /// Where the next byte stands.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The head of the next field of a message that ends at `end`; `None` if nothing follows.
    pub(super) fn head(&mut self, end: u64) -> Result<Option<Head>, Malformed> {
        if self.at >= end {
            return Ok(None);
        }
        self.charge(OVERHEAD)?;
        let key = self.number(end)?;
        let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag > 0);
        let tag = tag.ok_or_else(|| Malformed(format!("a field cannot have the number {}", key >> 3)))?;
        let value = match key & 7 {
            0 => Value::Number(self.number(end)?),
            1 => Value::Fixed(8),
            5 => Value::Fixed(4),
            2 => Value::Bytes(self.number(end)?),
            other => return Err(Malformed(format!("field {tag} has the unknown wire type {other}"))),
        };
        if let Value::Bytes(length) | Value::Fixed(length) = value
            && end.saturating_sub(self.at) < length
        {
            return Err(Malformed(format!("field {tag} is cut off: {length} bytes expected, got {}", end - self.at)));
        }
        Ok(Some(Head { tag, value }))
    }

    /// The whole field, key included, as it is written again.
    pub(super) fn keep(&mut self, head: Head) -> Result<Vec<u8>, Malformed> {
        let tag = u64::from(head.tag) << 3;
        let mut bytes = Vec::new();
        match head.value {
            Value::Number(number) => {
                put(&mut bytes, tag);
                put(&mut bytes, number);
            }
            Value::Fixed(length) => {
                put(&mut bytes, tag | if length == 8 { 1 } else { 5 });
                bytes.extend(self.take(length)?);
            }
            Value::Bytes(length) => {
                put(&mut bytes, tag | 2);
                put(&mut bytes, length);
                bytes.extend(self.take(length)?);
            }
        }
        Ok(bytes)
    }

    /// The next bytes.
    pub(super) fn take(&mut self, length: u64) -> Result<Vec<u8>, Malformed> {
        self.charge(length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        self.at += length;
        Ok(bytes)
    }

    /// Goes on at `to`.
    pub(super) fn go(&mut self, to: u64) -> Result<(), Malformed> {
        let step = i64::try_from(i128::from(to) - i128::from(self.at)).map_err(|error| Malformed(error.to_string()))?;
        self.file.seek_relative(step).map_err(unreadable)?;
        self.at = to;
        Ok(())
    }

    fn number(&mut self, end: u64) -> Result<u64, Malformed> {
        let mut number = 0;
        for place in (0..70).step_by(7) {
            if self.at >= end {
                return Err(Malformed("it ends in the middle of a number".to_owned()));
            }
            let mut byte = [0];
            self.file.read_exact(&mut byte).map_err(unreadable)?;
            self.at += 1;
            let bits = u64::from(byte[0] & 0x7f);
            if place == 63 && byte[0] > 1 {
                break;
            }
            number |= bits << place;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a number has more than 64 bits".to_owned()))
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Malformed> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| {
            Malformed(format!("it has more than {} MiB beside weights that can stay in the file", ROOM >> 20))
        })?;
        Ok(())
    }
}

/// A field that is to be written.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) tag: u32,
    /// Whether `bytes` are the whole field and not only its value.
    has_key: bool,
    bytes: &'a [u8],
    /// What follows on `bytes` in the same value.
    more: &'a [u8],
}

impl<'a> Part<'a> {
    /// A field as it was kept.
    pub(super) fn whole(tag: u32, bytes: &'a [u8]) -> Self {
        Self { tag, has_key: true, bytes, more: &[] }
    }

    /// A text, bytes or message.
    pub(super) fn value(tag: u32, bytes: &'a [u8]) -> Self {
        Self { tag, has_key: false, bytes, more: &[] }
    }

    /// One that is in two places.
    pub(super) fn values(tag: u32, (bytes, more): (&'a [u8], &'a [u8])) -> Self {
        Self { tag, has_key: false, bytes, more }
    }

    fn key(self) -> Vec<u8> {
        if self.has_key { Vec::new() } else { head(self.tag, self.bytes.len() + self.more.len()) }
    }
}

/// Writes the fields of a message, in the order of their tags, as every writer leaves them.
pub(super) fn write(into: &mut Vec<u8>, mut parts: Vec<Part>) {
    parts.sort_by_key(|part| part.tag);
    for part in parts {
        into.extend(part.key());
        into.extend_from_slice(part.bytes);
        into.extend_from_slice(part.more);
    }
}

/// How many bytes these fields take.
pub(super) fn size(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.key().len() + part.bytes.len() + part.more.len()).sum()
}

/// What stands before a text, bytes or message of that length.
pub(super) fn head(tag: u32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, u64::from(tag) << 3 | 2);
    put(&mut bytes, length as u64);
    bytes
}

/// A text, bytes or message as a field.
pub(super) fn field(tag: u32, value: &[u8]) -> Vec<u8> {
    [&head(tag, value.len()), value].concat()
}

/// What [`field`] was given.
pub(super) fn payload(field: &[u8]) -> &[u8] {
    let after = |bytes: &[u8]| bytes.iter().position(|byte| *byte < 0x80).map_or(bytes.len(), |last| last + 1);
    let key = after(field);
    &field[key + after(&field[key..])..]
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn unreadable(error: std::io::Error) -> Malformed {
    Malformed(error.to_string())
}
