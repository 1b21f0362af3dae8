//! The reader of safetensors files: a length, a JSON header, then the tensors without a gap.
//!
//! The rules are those of the safetensors crate (its README, "Format"), with fewer names and dimensions. The header is read
//! here and not by the crate, which needs the whole file, lets a name come twice and says no name when a tensor is wrong.

mod header;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::{Dtype, Tensor, WeightsError};
use header::{Header, Info};

/// The format's own limit of the header, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// A safetensors file of which the header is known; tensors are read one by one.
#[derive(Debug)]
pub struct Safetensors<R> {
    source: R,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Where its bytes stand in the file.
    range: Range<u64>,
}

/// Whether a file that begins so is one: the length of the header, in eight bytes, and the header with a brace.
pub(super) fn is_start(file: &[u8]) -> bool {
    file.get(8) == Some(&b'{')
}

impl<R: Read + Seek> Safetensors<R> {
    /// Reads and checks the header. An error unless every tensor has as many bytes as its shape says, and the tensors fill the
    /// rest of the file without gap and overlap.
    pub fn open(mut source: R) -> Result<Self, WeightsError> {
        let whole = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let Header { tensors, metadata, end } = read_header(&mut source, whole)?;
        let tensors = place(tensors, end, whole)?;
        Ok(Self { source, tensors, metadata })
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the writer said of the file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The element type of a tensor.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|entry| entry.dtype)
    }

    /// Where the bytes of a tensor stand, from the beginning of the file.
    pub fn range(&self, name: &str) -> Option<Range<u64>> {
        self.tensors.get(name).map(|entry| entry.range.clone())
    }

    /// Reads one tensor.
    pub fn read(&mut self, name: &str) -> Result<Tensor, WeightsError> {
        let entry = self.tensors.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        // The header was checked against the file's length, so the memory taken here is not more than the file has.
        let mut bytes = vec![0; entry.dtype.bytes(&entry.shape)?];
        self.source.seek(SeekFrom::Start(entry.range.start))?;
        self.source.read_exact(&mut bytes)?;
        Tensor::new(entry.dtype, entry.shape.clone(), bytes)
    }
}

/// The header of a file of `whole` bytes.
fn read_header(source: &mut impl Read, whole: u64) -> Result<Header, WeightsError> {
    let room =
        whole.checked_sub(8).ok_or_else(|| WeightsError::malformed("a safetensors file has at least 8 bytes"))?;
    let mut length = [0; 8];
    source.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    WeightsError::check_limit("the length of the header", LONGEST_HEADER, length)?;
    if length > room {
        let message = format!("the header should have {length} bytes, but the file ends after {room}");
        return Err(WeightsError::Malformed(message));
    }
    let mut header = vec![0; length as usize];
    source.read_exact(&mut header)?;
    Header::parse(&header, 8 + length)
}

/// Gives every tensor its place in a file of `whole` bytes whose header stands before `end`.
fn place(tensors: BTreeMap<String, Info>, end: u64, whole: u64) -> Result<BTreeMap<String, Entry>, WeightsError> {
    let mut in_order: Vec<(String, Info)> = tensors.into_iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut placed = BTreeMap::new();
    let mut next = end;
    for (name, Info { dtype, shape, data_offsets: [from, to] }) in in_order {
        let bytes = dtype.bytes(&shape).map_err(|error| at(&name, error))? as u64;
        if to.checked_sub(from) != Some(bytes) {
            let message = format!("a shape of {shape:?} of {dtype} needs {bytes} bytes, got {from} to {to}");
            return Err(at(&name, WeightsError::Malformed(message)));
        }
        if end.checked_add(from) != Some(next) {
            let message = format!("it must begin where the one before it ends, at {}, got {from}", next - end);
            return Err(at(&name, WeightsError::Malformed(message)));
        }
        // Both ends are at most 2^63 here: `from` was met by adding up lengths, and no length is longer.
        let range = next..next.saturating_add(bytes);
        if range.end > whole {
            return Err(at(
                &name,
                WeightsError::malformed(format!("it ends at {}, but the file at {whole}", range.end)),
            ));
        }
        next = range.end;
        placed.insert(name, Entry { dtype, shape, range });
    }
    if next == whole {
        return Ok(placed);
    }
    Err(WeightsError::malformed(format!("the tensors must fill the file, got {} bytes more", whole - next)))
}

fn at(name: &str, error: WeightsError) -> WeightsError {
    WeightsError::Malformed(format!("tensor {name:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + data, 1);
        file
    }

    fn refusal(header: &str, data: usize) -> String {
        Safetensors::open(Cursor::new(file(header, data))).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_the_reference_is_read() {
        use ::safetensors::tensor::{Dtype as Kind, TensorView, serialize};
        let weights: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let views = [
            ("up", TensorView::new(Kind::F32, vec![2, 2], &weights).unwrap()),
            ("empty", TensorView::new(Kind::F16, vec![0, 3], &[]).unwrap()),
            ("alpha", TensorView::new(Kind::BF16, vec![], &[0x80, 0x3f]).unwrap()),
        ];
        let file = serialize(views, Some([("ss_network_dim".to_owned(), "4".to_owned())].into())).unwrap();
        let mut read = Safetensors::open(Cursor::new(&file)).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["alpha", "empty", "up"]);
        assert_eq!(read.metadata()["ss_network_dim"], "4");
        assert_eq!((read.dtype("alpha"), read.shape("up")), (Some(Dtype::Bf16), Some([2, 2].as_slice())));
        assert_eq!(read.read("up").unwrap().bytes(), weights);
        assert_eq!(read.read("alpha").unwrap().to_f32("alpha").unwrap().first(), Some(&1.0));
        assert_eq!(read.read("empty").unwrap().shape(), [0, 3]);
        let Range { start, end } = read.range("up").unwrap();
        assert_eq!(file[start as usize..end as usize], weights);
        assert_eq!(read.read("down").unwrap_err().to_string(), "the file has no tensor \"down\"");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
        for length in 0..whole.len() {
            assert!(Safetensors::open(Cursor::new(&whole[..length])).is_err(), "{length} bytes were enough");
        }
        assert!(Safetensors::open(Cursor::new(&whole)).is_ok());
    }

    #[test]
    fn a_header_that_says_it_is_huge_takes_no_memory() {
        for length in [100_000_001, u64::MAX] {
            let error = Safetensors::open(Cursor::new(length.to_le_bytes())).unwrap_err();
            assert!(error.to_string().starts_with("the length of the header must be at most 100000000"), "{error}");
        }
        let short = Safetensors::open(Cursor::new(99u64.to_le_bytes())).unwrap_err();
        assert_eq!(short.to_string(), "the header should have 99 bytes, but the file ends after 0");
    }

    #[test]
    fn tensors_that_overlap_leave_gaps_or_lie_about_their_size_are_refused() {
        let two = |first: &str, second: &str| format!(r#"{{"a":{first},"b":{second}}}"#);
        let info =
            |shape: &str, offsets: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#);
        let overlap = refusal(&two(&info("[2]", "[0,8]"), &info("[2]", "[4,12]")), 12);
        assert_eq!(overlap, "tensor \"b\": it must begin where the one before it ends, at 8, got 4");
        let gap = refusal(&two(&info("[1]", "[0,4]"), &info("[1]", "[8,12]")), 12);
        assert_eq!(gap, "tensor \"b\": it must begin where the one before it ends, at 4, got 8");
        let longer = refusal(&format!(r#"{{"a":{}}}"#, info("[1]", "[0,8]")), 8);
        assert_eq!(longer, "tensor \"a\": a shape of [1] of F32 needs 4 bytes, got 0 to 8");
        let beyond = refusal(&format!(r#"{{"a":{}}}"#, info("[2]", "[0,8]")), 4);
        assert!(beyond.starts_with("tensor \"a\": it ends at "), "{beyond}");
        let backwards = refusal(&format!(r#"{{"a":{}}}"#, info("[1]", "[4,0]")), 4);
        assert_eq!(backwards, "tensor \"a\": a shape of [1] of F32 needs 4 bytes, got 4 to 0");
        let trailing = refusal(&format!(r#"{{"a":{}}}"#, info("[1]", "[0,4]")), 5);
        assert_eq!(trailing, "the tensors must fill the file, got 1 bytes more");
        let huge = info("[18446744073709551615,2]", "[0,18446744073709551615]");
        assert!(refusal(&format!(r#"{{"a":{huge}}}"#), 4).contains("larger than the memory can be"));
    }
}
