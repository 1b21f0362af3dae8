//! CLIP's tokenizer: text to the ids that a text encoder reads.
//!
//! Lower case, byte-level byte-pair encoding, as transformers' `CLIPTokenizer` does it. One thing differs on purpose:
//! a begin or end token typed in a prompt, such as `<|endoftext|>`, is ordinary text and not the special id. The padding
//! token of v2 and of SDXL's second encoder is a sign that people do type, `!`; transformers takes it for padding, and so
//! must we to give the same embeddings.

use std::path::Path;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, SplitDelimiterBehavior};

use super::error::LoadError;
use super::folder::{Folder, TextFacts};

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
    /// The padding token, where it is neither begin nor end and so may stand in a text.
    sign: Option<String>,
    length: usize,
}

impl Tokenizer {
    /// Reads `vocab.json` and `merges.txt` in `folder`, or `tokenizer.json` where these are absent.
    pub(super) fn open(folder: &Path, facts: &TextFacts) -> Result<Self, LoadError> {
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
        let sign = (![begin, end].contains(&pad)).then(|| facts.pad.clone());
        Ok(Self { tokenizer, begin, end, pad, sign, length: facts.length })
    }

    /// That of a model's first text encoder.
    pub fn first(folder: &Folder) -> Result<Self, LoadError> {
        let none = || LoadError::folder(&folder.path, "the model must have a text encoder");
        let facts = folder.texts.first().ok_or_else(none)?;
        Self::open(&folder.path.join(facts.tokenizer), facts)
    }

    /// What the encoder is given for the ids of one chunk: begin, the ids cut off where they are too many, end, padding.
    pub(super) fn row(&self, ids: &[u32]) -> Vec<u32> {
        let mut row = Vec::with_capacity(self.length);
        row.push(self.begin);
        row.extend(ids.iter().take(self.room()));
        row.push(self.end);
        row.resize(self.length, self.pad);
        row
    }

    /// The comma that ends a word, if the vocabulary has one.
    pub(super) fn comma(&self) -> Option<u32> {
        self.tokenizer.token_to_id(",</w>")
    }

    /// Tokens of a chunk.
    pub fn room(&self) -> usize {
        self.length.saturating_sub(2)
    }

    /// The ids of a text of any length, without begin and end.
    pub(super) fn pieces(&self, text: &str) -> Vec<u32> {
        let Some(sign) = &self.sign else { return self.plain(text) };
        let parts: Vec<Vec<u32>> = text.split(sign.as_str()).map(|part| self.plain(part)).collect();
        parts.join(&self.pad)
    }

    /// The ids of a text without padding tokens.
    fn plain(&self, text: &str) -> Vec<u32> {
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
    #[derive(serde::Deserialize)]
    struct Whole {
        model: BPE,
    }
    Ok(serde_json::from_str::<Whole>(&std::fs::read_to_string(file)?)?.model)
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::super::folder::Layer;
    use super::super::testing::golden;
    use super::*;

    /// Where CLIP's own vocabulary is.
    fn bundled() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes/tokenizer")
    }

    fn open(folder: &Path, pad: &str) -> Tokenizer {
        Tokenizer::open(folder, &facts(pad)).unwrap()
    }

    fn facts(pad: &str) -> TextFacts {
        TextFacts {
            encoder: "text_encoder",
            tokenizer: "tokenizer",
            layer: Layer::Last,
            pooled: false,
            pad: pad.to_owned(),
            length: 77,
            width: 1,
        }
    }

    /// `tests/golden/tokens.py` made these.
    fn agrees(tokenizer: &Tokenizer) {
        let rows: Vec<Value> = serde_json::from_slice(&fs::read(golden("tokens.json")).unwrap()).unwrap();
        for row in rows {
            let text = row["text"].as_str().unwrap();
            assert_eq!(json!(tokenizer.pieces(text)), row["ids"], "{text:?}");
        }
    }

    #[test]
    fn difficult_prompts_have_the_ids_of_transformers() {
        agrees(&open(&bundled(), END));
    }

    #[test]
    fn a_single_file_gives_the_same_ids() {
        let vocabulary: Value = serde_json::from_slice(&fs::read(bundled().join("vocab.json")).unwrap()).unwrap();
        let merges = fs::read_to_string(bundled().join("merges.txt")).unwrap();
        let merges: Vec<&str> = merges.lines().skip(1).filter(|line| !line.is_empty()).collect();
        let whole = json!({
            "added_tokens": [{"id": 49407, "content": END, "special": true}],
            "model": {"type": "BPE", "unk_token": END, "end_of_word_suffix": "</w>", "vocab": vocabulary, "merges": merges},
        });
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), whole.to_string()).unwrap();
        let tokenizer = open(folder.path(), END);
        agrees(&tokenizer);
        assert!(!tokenizer.pieces(END).contains(&49_407));
    }

    #[test]
    fn a_text_stands_between_begin_and_end_and_is_padded() {
        let row = |tokenizer: Tokenizer, text| tokenizer.row(&tokenizer.pieces(text));
        let ids = row(open(&bundled(), "!"), "a cat");
        assert_eq!(ids.len(), 77);
        assert_eq!(ids[..6], [49_406, 320, 2368, 49_407, 0, 0]);
        assert_eq!(row(open(&bundled(), END), "")[..3], [49_406, 49_407, 49_407]);
    }

    /// As transformers 4.57.6 does it with this padding token; with the end token it is the ordinary `!</w>`.
    #[test]
    fn a_typed_padding_sign_is_padding() {
        let tokenizer = open(&bundled(), "!");
        for (text, ids) in [
            ("a cat!", &[320, 2368, 0][..]),
            ("a! cat", &[320, 0, 2368]),
            ("!!!", &[0, 0, 0]),
            ("wow!! (cat)", &[2781, 0, 0, 263, 2368, 264]),
            ("it's!?", &[585, 568, 0, 286]),
            ("a\n!  b", &[320, 0, 321]),
        ] {
            assert_eq!(tokenizer.pieces(text), ids, "{text:?}");
        }
        assert_eq!(open(&bundled(), END).pieces("a cat!"), [320, 2368, 256]);
    }

    #[test]
    fn a_long_text_is_cut_off_before_the_end_token() {
        let tokenizer = open(&bundled(), "!");
        let cats = tokenizer.pieces(&"cat ".repeat(100));
        let ids = tokenizer.row(&cats);
        assert_eq!((ids.len(), ids[75], ids[76]), (77, 2368, 49_407));
        assert_eq!((cats.len(), tokenizer.room()), (100, 75));
    }

    #[test]
    fn a_special_token_in_a_prompt_is_ordinary_text() {
        let tokenizer = open(&bundled(), END);
        for text in ["<|endoftext|>", "a<|STARTOFTEXT|>b", "<|startoftext|><|endoftext|>"] {
            let ids = tokenizer.pieces(text);
            assert!(ids.iter().all(|id| ![49_406, 49_407].contains(id)) && ids.len() > 2, "{text}: {ids:?}");
        }
    }

    #[test]
    fn faults_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let fault = || Tokenizer::open(folder.path(), &facts("!")).unwrap_err().to_string();
        assert!(fault().contains("vocab.json: it must be CLIP's vocabulary"), "{}", fault());
        fs::write(folder.path().join("vocab.json"), r#"{"<|startoftext|>": 0, "<|endoftext|>": 1}"#).unwrap();
        fs::write(folder.path().join("merges.txt"), "#version: 0.2\n").unwrap();
        assert!(fault().ends_with("vocab.json: it must hold !"), "{}", fault());
    }
}
