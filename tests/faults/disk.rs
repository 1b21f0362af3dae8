//! A disk that forgets: what of the recorded operations is there after a power cut.
//!
//! What a file held when it was last synced is there. Of what came later, anything may be there: whole writes in any
//! order, pieces of them, or only the length. The same holds for the names in a folder, and a folder is synced by a
//! call of its own (POSIX; no file system's kindness is relied on).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::dice::Dice;
use super::record::Step;

/// Which of the operations since the last sync survive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Survival {
    /// All: the process died, or the disk was quick.
    All,
    /// None.
    Synced,
    /// Each with one chance in two, whatever became of those before it.
    Scattered,
    /// Each sector of 512 bytes of every write with one chance in two.
    Shredded,
    /// All but the last write, of which each piece of so many bytes has one chance in two.
    Torn(usize),
}

/// A change of a file that no sync has confirmed.
#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Arc<[u8]> },
    Cut(usize),
}

#[derive(Clone, Default)]
struct File {
    kept: Vec<u8>,
    pending: Vec<Change>,
}

/// Names in a folder; a change to `None` takes the name away.
#[derive(Clone, Default)]
struct Folder {
    kept: BTreeMap<String, usize>,
    pending: Vec<(String, Option<usize>)>,
}

#[derive(Clone)]
enum Node {
    File(File),
    Folder(Folder),
}

/// Files and folders that are there after a cut; folders have no bytes.
pub type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// The disk so far. The first folder that is told of is the outermost one, which was there before.
#[derive(Clone, Default)]
pub struct Disk {
    nodes: Vec<Node>,
    by_number: HashMap<u64, usize>,
    /// The file that was written last, the last of whose changes is the one in the middle of which the power goes.
    last: usize,
    /// Counts changes of what is synced: the same number means the same synced disk.
    pub synced: u64,
}

impl Disk {
    /// Carries out one step; words of the drill do nothing.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::File { node, path } => self.make(*node, path, Node::File(File::default())),
            Step::Folder { node, path } => self.make(*node, path, Node::Folder(Folder::default())),
            Step::Write { node, offset, bytes } => {
                self.change(*node, Change::Write { offset: *offset, bytes: Arc::clone(bytes) });
            }
            Step::Cut { node, length } => self.change(*node, Change::Cut(*length)),
            Step::Sync { node } => self.sync(self.by_number[node]),
            Step::Remove { path } => {
                let (folder, name) = self.folder_of(path);
                folder.pending.push((name, None));
            }
            Step::Mark(_) => {}
        }
    }

    /// What is there if the power goes now.
    pub fn cut(&self, survival: Survival, dice: &mut Dice) -> Tree {
        let mut tree = Tree::new();
        if !self.nodes.is_empty() {
            self.list(0, "", survival, dice, &mut tree);
        }
        tree
    }

    /// Whether anything would be lost if nothing more survived than what was synced.
    pub fn has_pending(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::File(file) => !file.pending.is_empty(),
            Node::Folder(folder) => !folder.pending.is_empty(),
        })
    }

    fn make(&mut self, number: u64, path: &str, node: Node) {
        let index = self.nodes.len();
        if index > 0 {
            let (folder, name) = self.folder_of(path);
            folder.pending.push((name, Some(index)));
        }
        // A number is used again once its file is gone.
        self.by_number.insert(number, index);
        self.nodes.push(node);
    }

    fn change(&mut self, number: u64, change: Change) {
        let index = self.by_number[&number];
        let Node::File(file) = &mut self.nodes[index] else { panic!("a folder was written to") };
        file.pending.push(change);
        self.last = index;
    }

    fn sync(&mut self, index: usize) {
        self.synced += 1;
        match &mut self.nodes[index] {
            Node::File(file) => {
                let changes = std::mem::take(&mut file.pending);
                changes.iter().for_each(|change| perform(&mut file.kept, change));
            }
            Node::Folder(folder) => {
                for (name, node) in std::mem::take(&mut folder.pending) {
                    rename(&mut folder.kept, &name, node);
                }
            }
        }
    }

    /// The folder in which a path lies, as it looks to the running program, and the path's last name.
    fn folder_of(&mut self, path: &str) -> (&mut Folder, String) {
        let (mut parts, mut index) = (path.split('/').peekable(), 0);
        while let Some(name) = parts.next() {
            if parts.peek().is_none() {
                let Node::Folder(folder) = &mut self.nodes[index] else { panic!("{path} lies in a file") };
                return (folder, name.to_owned());
            }
            let Node::Folder(folder) = &self.nodes[index] else { panic!("{path} lies in a file") };
            let pending = folder.pending.iter().rev().find(|(other, _)| other == name).map(|(_, node)| *node);
            index = pending.unwrap_or_else(|| folder.kept.get(name).copied()).expect("a folder that was recorded");
        }
        unreachable!("a path has a last name")
    }

    fn list(&self, index: usize, path: &str, survival: Survival, dice: &mut Dice, tree: &mut Tree) {
        match &self.nodes[index] {
            Node::File(file) => {
                tree.insert(path.to_owned(), Some(file.after(survival, index == self.last, dice)));
            }
            Node::Folder(folder) => {
                if !path.is_empty() {
                    tree.insert(path.to_owned(), None);
                }
                for (name, node) in folder.after(survival, dice) {
                    let inner = if path.is_empty() { name } else { format!("{path}/{name}") };
                    self.list(node, &inner, survival, dice, tree);
                }
            }
        }
    }
}

impl File {
    fn after(&self, survival: Survival, is_last: bool, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.kept.clone();
        if survival == Survival::Synced {
            return bytes;
        }
        for (index, change) in self.pending.iter().enumerate() {
            let in_the_middle = is_last && index + 1 == self.pending.len();
            match survival {
                Survival::Scattered if dice.coin() => lose(&mut bytes, change, dice),
                Survival::Shredded => tear(&mut bytes, change, 512, dice),
                Survival::Torn(piece) if in_the_middle => tear(&mut bytes, change, piece, dice),
                _ => perform(&mut bytes, change),
            }
        }
        bytes
    }
}

impl Folder {
    fn after(&self, survival: Survival, dice: &mut Dice) -> BTreeMap<String, usize> {
        let mut names = self.kept.clone();
        for (name, node) in &self.pending {
            let survives = match survival {
                Survival::All | Survival::Torn(_) => true,
                Survival::Synced => false,
                Survival::Scattered | Survival::Shredded => dice.coin(),
            };
            if survives {
                rename(&mut names, name, *node);
            }
        }
        names
    }
}

fn perform(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(length) => bytes.resize(*length, 0),
        Change::Write { offset, bytes: new } => {
            stretch(bytes, offset + new.len());
            bytes[*offset..offset + new.len()].copy_from_slice(new);
        }
    }
}

/// The data is lost; the length may have been kept, with nothing in it.
fn lose(bytes: &mut Vec<u8>, change: &Change, dice: &mut Dice) {
    if let Change::Write { offset, bytes: new } = change
        && dice.coin()
    {
        stretch(bytes, offset + new.len());
    }
}

/// Pieces that begin where the disk's sectors begin.
fn tear(bytes: &mut Vec<u8>, change: &Change, piece: usize, dice: &mut Dice) {
    let Change::Write { offset, bytes: new } = change else {
        if dice.coin() {
            perform(bytes, change);
        }
        return;
    };
    let (mut at, end) = (*offset, offset + new.len());
    while at < end {
        let next = ((at / piece + 1) * piece).min(end);
        let part = Change::Write { offset: at, bytes: new[at - offset..next - offset].into() };
        if dice.coin() {
            perform(bytes, &part);
        } else {
            lose(bytes, &part, dice);
        }
        at = next;
    }
}

fn stretch(bytes: &mut Vec<u8>, length: usize) {
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
}

fn rename(names: &mut BTreeMap<String, usize>, name: &str, node: Option<usize>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}
