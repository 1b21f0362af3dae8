//! CLIP's tokenizer: text to the ids that a text encoder reads.
//!
//! Lower case, byte-level byte-pair encoding, as transformers' `CLIPTokenizer` does it. One thing differs on purpose:
//! a special token typed in a prompt, such as `<|endoftext|>`, is ordinary text and not the special id.

use std::path::Path;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, SplitDelimiterBehavior};

use super::error::LoadError;
use super::folder::TokenizerFacts;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Words, single digits and runs of signs, as CLIP cuts text before the pairs are merged. Special tokens are not in it.
const PIECES: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

const BEGIN: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Text to token ids.
#[derive(Debug)]
pub struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    begin: u32,
    end: u32,
    pad: u32,
    length: usize,
}

impl Tokenizer {
    /// Reads `vocab.json` and `merges.txt` in `folder`, or `tokenizer.json` where these are absent.
    pub(super) fn open(folder: &Path, facts: &TokenizerFacts) -> Result<Self, LoadError> {
        let (vocabulary, single) = (folder.join("vocab.json"), folder.join("tokenizer.json"));
        let (file, pairs) = match vocabulary.is_file() || !single.is_file() {
            true => (&vocabulary, two_files(&vocabulary, &folder.join("merges.txt"))),
            false => (&single, one_file(&single)),
        };
        let refused = |reason: String| LoadError::folder(file, reason);
        let tokenizer =
            pairs.and_then(build).map_err(|error| refused(format!("it must be CLIP's vocabulary: {error}")))?;
        let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| refused(format!("it must hold {token}")));
        let (begin, end, pad) = (id(BEGIN)?, id(END)?, id(&facts.pad)?);
        Ok(Self { tokenizer, begin, end, pad, length: facts.length })
    }

    /// The ids of a text, `length` of them: begin, the text cut off where it is too long, end, padding.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.length);
        ids.push(self.begin);
        ids.extend(self.pieces(text).into_iter().take(self.room()));
        ids.push(self.end);
        ids.resize(self.length, self.pad);
        ids
    }

    /// Tokens of a text, not cut off and without begin and end.
    pub fn count(&self, text: &str) -> usize {
        self.pieces(text).len()
    }

    /// Tokens of a text that are read.
    pub fn room(&self) -> usize {
        self.length.saturating_sub(2)
    }

    fn pieces(&self, text: &str) -> Vec<u32> {
        match self.tokenizer.encode(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            // Byte-level encoding has a token for whatever bytes come.
            Err(error) => {
                tracing::warn!(%error, "a text cannot be tokenized, it is taken as empty");
                Vec::new()
            }
        }
    }
}

fn two_files(vocabulary: &Path, merges: &Path) -> Result<BPE, AnyError> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("the path must be UTF-8");
    BPE::from_file(&text(vocabulary)?, &text(merges)?)
        .unk_token(END.to_owned())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix("</w>".to_owned())
        .build()
}

/// The model inside a `tokenizer.json`. Only that is taken: the file's list of special tokens would let a prompt use them.
fn one_file(file: &Path) -> Result<BPE, AnyError> {
    let mut whole: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    Ok(serde_json::from_value(whole["model"].take())?)
}

fn build(pairs: BPE) -> Result<tokenizers::Tokenizer, AnyError> {
    let blanks = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let pieces = Split::new(SplitPattern::Regex(PIECES.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    let mut tokenizer = tokenizers::Tokenizer::new(pairs);
    tokenizer.with_normalizer(Some(NormalizerWrapper::Sequence(Normalizers::new(vec![
        NFC.into(),
        blanks.into(),
        Lowercase.into(),
    ]))));
    tokenizer
        .with_pre_tokenizer(Some(PreTokenizers::new(vec![pieces.into(), ByteLevel::new(false, true, true).into()])));
    Ok(tokenizer)
}
