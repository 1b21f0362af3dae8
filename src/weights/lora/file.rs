//! The file of a LoRA: safetensors, or the pickle that early tools wrote.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::Lora;
use crate::weights::{Dtype, Safetensors, Tensor, Value, WeightsError, pickle, safetensors};

/// Larger pickles are refused: they are in memory as a whole while they are read. A LoRA of rank 128 has 300 MB.
const LARGEST_PICKLE: u64 = 512 << 20;

/// The tensors of a LoRA's file.
#[derive(Debug)]
pub enum LoraFile<R> {
    /// Its tensors stay where they are.
    Safetensors(Safetensors<R>),
    /// `.pt`, `.bin` and `.ckpt` of `torch.save`, a dictionary of tensors, in memory.
    Pickle(BTreeMap<String, Tensor>),
}

impl<R: Read + Seek> LoraFile<R> {
    /// Opens a file. Its first bytes tell a pickle in its two layouts; the rest is taken for safetensors.
    pub fn open(mut source: R) -> Result<Self, WeightsError> {
        let mut start = Vec::new();
        source.by_ref().take(9).read_to_end(&mut start)?;
        let from_torch = start.starts_with(b"PK") || start.first() == Some(&0x80);
        if safetensors::is_start(&start) || !from_torch {
            return Safetensors::open(source).map(Self::Safetensors);
        }
        let bytes = source.seek(SeekFrom::End(0))?;
        WeightsError::check_limit("the bytes of a LoRA that is no safetensors file", LARGEST_PICKLE, bytes)?;
        source.seek(SeekFrom::Start(0))?;
        let mut file = Vec::new();
        source.take(LARGEST_PICKLE).read_to_end(&mut file)?;
        of_value(pickle::load(&file)?).map(Self::Pickle)
    }

    /// What the file holds.
    pub fn lora(&self) -> Result<Lora, WeightsError> {
        let (entries, settings): (Vec<(String, Dtype, Vec<usize>)>, _) = match self {
            Self::Safetensors(file) => {
                let entry = |name: &str| Some((name.to_owned(), file.dtype(name)?, file.shape(name)?.to_vec()));
                (file.names().filter_map(entry).collect(), file.metadata().get("lora_adapter_metadata"))
            }
            Self::Pickle(tensors) => {
                let entry =
                    |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.dtype(), tensor.shape().to_vec());
                (tensors.iter().map(entry).collect(), None)
            }
        };
        Lora::of(entries, settings.map(String::as_str)).map_err(|error| WeightsError::Malformed(error.to_string()))
    }

    /// Reads one tensor.
    pub fn read(&mut self, name: &str) -> Result<Tensor, WeightsError> {
        match self {
            Self::Safetensors(file) => file.read(name),
            Self::Pickle(tensors) => tensors.get(name).cloned().ok_or_else(|| WeightsError::Missing(name.to_owned())),
        }
    }
}

fn of_value(value: Value) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let Value::Dict(entries) = value else {
        return Err(WeightsError::malformed("a LoRA must be a dictionary of tensors"));
    };
    let tensors = entries.into_iter().map(|entry| match entry {
        (Value::Text(name), Value::Tensor(tensor)) => Ok((name, tensor)),
        (name, _) => {
            let name = name.as_text().unwrap_or("a name that is no text");
            Err(WeightsError::Malformed(format!("a LoRA must hold tensors by name, got {name:?} with no tensor")))
        }
    });
    tensors.collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::weights::testing::{int, saved, tensor, text};

    /// A pickle of a LoRA of rank 1 with a whole alpha, as kohya's early scripts wrote.
    fn early() -> Vec<u8> {
        let entries = [
            [text("lora_unet_q.lora_up.weight"), tensor("HalfStorage", "0", 0, &[2, 1], &[1, 1])].concat(),
            [text("lora_unet_q.lora_down.weight"), tensor("HalfStorage", "0", 0, &[1, 2], &[2, 1])].concat(),
            [text("lora_unet_q.alpha"), tensor("LongStorage", "1", 0, &[], &[])].concat(),
        ];
        let program = [b"}(".to_vec(), entries.concat(), b"u.".to_vec()].concat();
        saved(&program, &[("0", &[0, 0x3c, 0, 0x40]), ("1", &4i64.to_le_bytes())])
    }

    #[test]
    fn a_pickle_is_read_as_its_tensors_would_be_in_safetensors() {
        let mut file = LoraFile::open(Cursor::new(early())).unwrap();
        let lora = file.lora().unwrap();
        assert_eq!((lora.groups().len(), lora.groups()[0].name()), (1, "lora_unet_q"));
        let mut read = |key: &str| file.read(key)?.to_numbers(key);
        assert_eq!(read("lora_unet_q.alpha").unwrap().first(), Some(&4.0));
        assert_eq!(read("lora_unet_q.lora_up.weight").unwrap().iter().copied().collect::<Vec<_>>(), [1.0, 2.0]);
        assert_eq!(read("x").unwrap_err().to_string(), "the file has no tensor \"x\"");
    }

    #[test]
    fn what_is_no_lora_is_refused_with_the_reason() {
        let refusal = |file: Vec<u8>| LoraFile::open(Cursor::new(file)).unwrap_err().to_string();
        assert_eq!(refusal(saved(b"].", &[])), "a LoRA must be a dictionary of tensors");
        let number = saved(&[b"}".to_vec(), text("step"), int(1), b"s.".to_vec()].concat(), &[]);
        assert_eq!(refusal(number), "a LoRA must hold tensors by name, got \"step\" with no tensor");
        assert_eq!(refusal(b"nothing".to_vec()), "a safetensors file has at least 8 bytes");
        assert_eq!(refusal(Vec::new()), "a safetensors file has at least 8 bytes");
        assert_eq!(refusal(b"\x80\x02N.".to_vec()), "the file is not from torch.save");
        let call = [b"cos\nsystem\n".to_vec(), b".".to_vec()].concat();
        assert!(refusal(saved(&call, &[])).starts_with("the file calls os.system"));
    }
}
