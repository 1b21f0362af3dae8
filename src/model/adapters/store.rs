//! The adapters' folder: `embeddings/`, `loras/` and `hypernetworks/`, where a file's name is the adapter's.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::job::AdapterKind;
use crate::weights::lora::{Lora, LoraFile};
use crate::weights::{Embedding, Hypernetwork, WeightsError};

/// Every adapter of a folder, as it was when it was looked at. Names from requests are looked up here, never joined to paths.
#[derive(Clone, Debug, Default)]
pub struct Adapters {
    entries: Vec<Entry>,
    /// Pictures that show an adapter and are none, which lie beside those of collections.
    previews: Vec<EntryId>,
}

/// An adapter's file and what is known of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is: the folder says.
    pub kind: AdapterKind,
    /// The file's name without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it holds, or why it cannot be used.
    pub content: Result<Content, String>,
    stamp: Stamp,
}

/// Which file in which state: another one may have other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryId(PathBuf, Stamp);

impl Entry {
    /// What tells it from all others, and from what it was before its file changed.
    pub fn id(&self) -> EntryId {
        EntryId(self.path.clone(), self.stamp)
    }

    /// Its file as seen from the store, such as `embeddings/red.pt`.
    pub(super) fn place(&self) -> String {
        let folder = FOLDERS.iter().find(|(kind, ..)| *kind == self.kind).map_or("", |(_, folder, _)| folder);
        let file = self.path.file_name().unwrap_or_default();
        format!("{folder}/{}", file.display())
    }
}

/// What a file looked like from outside: another one has other content.
type Stamp = (u64, Option<SystemTime>);

/// What an adapter's file holds; weights of LoRAs stay on the disk until they are used.
#[derive(Clone, Debug)]
pub enum Content {
    /// Vectors.
    Embedding(Arc<Embedding>),
    /// Names and shapes.
    Lora(Arc<Lora>),
    /// Small networks by width.
    Hypernetwork(Arc<Hypernetwork>),
}

/// The folders and the endings that count in them; of two files with one name the earlier ending is taken.
const FOLDERS: [(AdapterKind, &str, &[&str]); 3] = [
    (AdapterKind::Embedding, "embeddings", &["safetensors", "pt", "bin", "png"]),
    (AdapterKind::Lora, "loras", &["safetensors", "pt", "bin", "ckpt"]),
    (AdapterKind::Hypernetwork, "hypernetworks", &["pt", "bin"]),
];

/// Bytes of the largest embedding, which may be a picture's card, and of the largest hypernetwork: larger files are refused
/// unread. Those of LoRAs are not read as a whole.
const LARGEST: [(AdapterKind, u64); 2] = [(AdapterKind::Embedding, 16 << 20), (AdapterKind::Hypernetwork, 512 << 20)];

impl Adapters {
    /// Looks at every file of a folder, which need not be there. Files that `before` knows unchanged are not read again.
    ///
    /// A file that cannot be used is listed with the reason: whoever asks for it is told.
    pub fn scan(folder: &Path, before: &Self) -> Self {
        let mut now = Self::default();
        for (kind, name, endings) in FOLDERS {
            let mut files = files(&folder.join(name), endings);
            files.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
            files.dedup_by(|later, earlier| later.0 == earlier.0);
            for (name, _, path, stamp) in files {
                now.add(before, kind, name, path, stamp);
            }
        }
        now
    }

    fn add(&mut self, before: &Self, kind: AdapterKind, name: String, path: PathBuf, stamp: Stamp) {
        let id = EntryId(path, stamp);
        if before.previews.contains(&id) {
            return self.previews.push(id);
        }
        let entry = before.entry(kind, name, id.0.clone(), stamp);
        match (&entry.content, id.0.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"))) {
            (Err(_), true) => self.previews.push(id),
            (content, _) => {
                let news = before.entries.iter().all(|known| known.id() != id);
                if let Some(reason) = content.as_ref().err().filter(|_| news) {
                    tracing::info!(adapter = entry.name, kind = kind.name(), reason, "an adapter cannot be used");
                }
                self.entries.push(entry);
            }
        }
    }

    /// All of them, by kind and name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The content of an adapter, if there is one of that name that can be used.
    pub fn find(&self, kind: AdapterKind, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.name == name)
    }

    /// Whether both stand for the same files.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.entries.iter().map(Entry::id).eq(other.entries.iter().map(Entry::id))
    }

    fn entry(&self, kind: AdapterKind, name: String, path: PathBuf, stamp: Stamp) -> Entry {
        if let Some(known) = self.entries.iter().find(|known| known.path == path && known.stamp == stamp) {
            return known.clone();
        }
        let content = read(kind, &path, stamp.0).map_err(|error| error.to_string());
        Entry { kind, name, path, content, stamp }
    }
}

/// Name, place of the ending, path and stamp of the files in a folder.
fn files(folder: &Path, endings: &[&str]) -> Vec<(String, usize, PathBuf, Stamp)> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        let path = entry.path();
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        let rank = endings.iter().position(|known| *known == ending)?;
        // Through links: a folder of links into a collection is common.
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let name = path.file_stem()?.to_str().filter(|name| !name.contains(char::is_control))?.to_owned();
        Some((name, rank, path, (metadata.len(), metadata.modified().ok())))
    });
    found.collect()
}

fn read(kind: AdapterKind, path: &Path, bytes: u64) -> Result<Content, WeightsError> {
    if let Some((_, limit)) = LARGEST.iter().find(|(of, limit)| *of == kind && bytes > *limit) {
        return Err(WeightsError::Malformed(format!("the file must be at most {limit} bytes large, got {bytes}")));
    }
    Ok(match kind {
        AdapterKind::Embedding => Content::Embedding(Arc::new(Embedding::parse(&fs::read(path)?)?)),
        AdapterKind::Hypernetwork => Content::Hypernetwork(Arc::new(Hypernetwork::parse(&fs::read(path)?)?)),
        AdapterKind::Lora => {
            let file = LoraFile::open(BufReader::new(File::open(path)?))?;
            Content::Lora(Arc::new(file.lora()?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::golden;

    /// What a store with this one file says of it.
    fn listed(place: &str, fill: impl FnOnce(&Path)) -> Option<Result<Content, String>> {
        let store = tempfile::tempdir().unwrap();
        let path = store.path().join(place);
        fs::create_dir(path.parent().unwrap()).unwrap();
        fill(&path);
        let adapters = Adapters::scan(store.path(), &Adapters::default());
        let entries: Vec<_> = adapters.entries.into_iter().map(|entry| (entry.place(), entry.content)).collect();
        assert!(entries.iter().all(|(own, _)| own == place));
        entries.into_iter().next().map(|(_, content)| content)
    }

    #[test]
    fn a_file_too_large_for_its_kind_is_refused_unread() {
        let large = |bytes: u64| move |path: &Path| File::create(path).unwrap().set_len(bytes).unwrap();
        let refusal = |place: &str, bytes: u64| listed(place, large(bytes)).unwrap().unwrap_err();
        assert_eq!(
            refusal("embeddings/red.pt", (16 << 20) + 1),
            "the file must be at most 16777216 bytes large, got 16777217"
        );
        assert_eq!(refusal("embeddings/red.pt", 16 << 20), "the file is not from torch.save");
        assert!(
            refusal("hypernetworks/red.pt", (512 << 20) + 1).starts_with("the file must be at most 536870912 bytes")
        );
    }

    #[test]
    fn a_lora_in_a_pickle_is_read_and_not_passed_over() {
        let embedding = |path: &Path| {
            fs::copy(golden("weights/learned_embeds.bin"), path).unwrap();
        };
        for ending in ["pt", "bin", "ckpt"] {
            let refusal = listed(&format!("loras/red.{ending}"), embedding).unwrap().unwrap_err();
            assert!(refusal.starts_with("the file is no LoRA: it changes nothing with its 1 keys"), "{refusal}");
        }
    }

    #[test]
    fn what_no_reader_knows_is_not_listed() {
        for place in ["embeddings/red.webp", "hypernetworks/red.safetensors", "loras/red.txt"] {
            assert!(listed(place, |path| fs::write(path, "").unwrap()).is_none(), "{place}");
        }
    }

    #[test]
    fn a_preview_beside_an_embedding_is_no_adapter() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join("embeddings");
        fs::create_dir(&folder).unwrap();
        fs::copy(golden("weights/learned_embeds.bin"), folder.join("moss.bin")).unwrap();
        fs::copy(golden("inputs/init.png"), folder.join("moss.png")).unwrap();
        fs::copy(golden("inputs/init.png"), folder.join("red.PNG")).unwrap();
        let first = Adapters::scan(store.path(), &Adapters::default());
        let again = Adapters::scan(store.path(), &first);
        for adapters in [&first, &again] {
            assert_eq!(adapters.entries().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["moss"]);
        }
        assert_eq!(again.previews, first.previews);
        assert_eq!(again.previews.len(), 1);
    }
}
