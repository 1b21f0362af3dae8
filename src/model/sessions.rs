//! The sessions of the engine's thread: those used last stay loaded, as far as the memory goes.
//!
//! A graph as it was exported is loaded again when it is needed again, so that on a small board the text encoder, the
//! U-Net and the decoder take turns. One with adapters in it cannot be made again here and stays until it is closed.
//!
//! Before a load and before a pass on the processor it is asked whether the machine has the memory for it, so that there
//! is an error with numbers and not the kernel's choice of a process to end.

mod appetite;
mod ready;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use self::appetite::Appetite;
use self::ready::Ready;
use super::accelerator::Accelerator;
use super::anatomy::Anatomy;
use super::blueprint::Blueprint;
use super::error::LoadError;
use super::library::Runtime;
use super::memory::{available, resident};
use super::session::{Options, Ports, Session};
use crate::board::size;

/// The sessions of one engine.
pub(super) struct Sessions<'a> {
    runtime: &'a Runtime,
    options: &'a Options,
    /// Bytes that they may take together.
    budget: u64,
    held: HashMap<u64, Held>,
    /// What passes take, by the files of the graphs.
    appetites: HashMap<PathBuf, Appetite>,
    /// Counts uses.
    clock: u64,
    /// Bytes of the machine's memory that can be had.
    free: fn() -> Option<u64>,
}

struct Held {
    /// Absent while others have its room.
    session: Option<Session>,
    file: PathBuf,
    /// Whether there is nothing else to it than the file, so that it can be loaded again.
    again: bool,
    /// Whether it was given a timestep for every entry.
    own_times: bool,
    /// Bytes that it took to load.
    bytes: u64,
    /// Bytes that it has kept of its passes.
    kept: u64,
    used: u64,
}

impl<'a> Sessions<'a> {
    pub(super) fn new(runtime: &'a Runtime, options: &'a Options, budget: u64) -> Self {
        Self { runtime, options, budget, held: HashMap::new(), appetites: HashMap::new(), clock: 0, free: available }
    }

    /// Loads a graph under a new number.
    pub(super) fn load(&mut self, number: u64, graph: Blueprint) -> Result<(&Session, Ports), LoadError> {
        let again = graph.edited.is_none() && graph.weights.is_empty();
        let (file, own_times) = (graph.file.clone(), graph.own_times);
        let (session, ports, bytes) = self.open(graph, number)?;
        self.clock += 1;
        let held = Held { session: None, file, again, own_times, bytes, kept: 0, used: self.clock };
        let held = self.held.entry(number).insert_entry(held).into_mut();
        Ok((held.session.insert(session), ports))
    }

    /// The session of that number, loaded again if others had taken its room; nothing if there is none.
    pub(super) fn get(&mut self, number: u64) -> Result<Option<Ready<'_, 'a>>, LoadError> {
        self.clock += 1;
        let Some(held) = self.held.get_mut(&number) else { return Ok(None) };
        held.used = self.clock;
        if held.session.is_none() && held.again {
            let (file, own_times) = (held.file.clone(), held.own_times);
            tracing::debug!(graph = %file.display(), "loaded again");
            let (session, _, bytes) = self.open(Blueprint { own_times, ..Blueprint::as_exported(&file) }, number)?;
            if let Some(held) = self.held.get_mut(&number) {
                (held.session, held.bytes, held.kept) = (Some(session), bytes, 0);
            }
        }
        let is_loaded = self.held.get(&number).is_some_and(|held| held.session.is_some());
        Ok(is_loaded.then_some(Ready { sessions: self, number }))
    }

    pub(super) fn close(&mut self, number: u64) {
        self.held.remove(&number);
    }

    /// Opens a session where there is room for it; with the bytes that it takes.
    fn open(&mut self, graph: Blueprint, number: u64) -> Result<(Session, Ports, u64), LoadError> {
        // What it took before, it will take again.
        let known = self.held.get(&number).map_or(0, |held| held.bytes);
        let least = bytes_of(&graph.file).max(known);
        self.make_room(least, number);
        // The graph's own file is in memory as a whole until its weights are where they belong.
        let own = fs::metadata(&graph.file).map_or(0, |found| found.len());
        self.check(&graph.file, least + own, number)?;
        let before = resident();
        let (session, ports) = Session::open(self.runtime, graph, self.options)?;
        // Packed and converted weights take more than their files.
        let bytes = least.max(resident().saturating_sub(before));
        self.make_room(bytes, number);
        Ok((session, ports, bytes))
    }

    /// Fails with the numbers where the kernel would end some process for want of memory.
    fn check(&mut self, file: &Path, bytes: u64, number: u64) -> Result<(), LoadError> {
        if !self.takes_memory(file) {
            return Ok(());
        }
        let Some(free) = self.lacking(bytes, number) else { return Ok(()) };
        let reason = format!("out of memory: it needs {}, {} are free", size(bytes), size(free));
        Err(LoadError::folder(file, reason))
    }

    /// Whether a graph takes the machine's memory. Other accelerators say themselves when theirs is full.
    fn takes_memory(&self, file: &Path) -> bool {
        self.options.choice(file).accelerator == Accelerator::Cpu
    }

    /// Unloads others until so many bytes can be had; gives what is free if that is too little all the same.
    fn lacking(&mut self, bytes: u64, number: u64) -> Option<u64> {
        while let Some(free) = (self.free)().filter(|free| *free < bytes) {
            if !self.unload(number) {
                return Some(free);
            }
        }
        None
    }

    /// Unloads what was used least recently until `bytes` fit beside the rest, or nothing is left that can be loaded again.
    fn make_room(&mut self, bytes: u64, number: u64) {
        let taken = |held: &HashMap<u64, Held>| {
            let others = held.iter().filter(|(other, held)| **other != number && held.session.is_some());
            others.map(|(_, held)| held.bytes).sum::<u64>()
        };
        while taken(&self.held) + bytes > self.budget && self.unload(number) {}
    }

    /// Unloads what was used least recently, but for `number`; false if nothing is left that can be loaded again.
    fn unload(&mut self, number: u64) -> bool {
        let others = self.held.iter_mut().filter(|(other, _)| **other != number).map(|(_, held)| held);
        let loaded = others.filter(|held| held.session.is_some() && held.again);
        let oldest = loaded.min_by_key(|held| held.used);
        oldest.is_some_and(|oldest| oldest.session.take().is_some())
    }
}

/// The bytes of a graph and of its weights; graphs that share a file of weights have each their own part of it.
fn bytes_of(file: &Path) -> u64 {
    let told = |graph: Anatomy| graph.bytes() + graph.skeleton.to_bytes().len() as u64;
    Anatomy::read(file).map_or_else(|_| bytes_beside(file), told)
}

/// The bytes of a graph and of all weights beside it.
fn bytes_beside(file: &Path) -> u64 {
    let is_weights = |path: &Path| path.extension().is_none_or(|end| end != "onnx" && end != "json");
    let beside = file.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let beside = beside.filter(|entry| is_weights(&entry.path())).filter_map(|entry| entry.metadata().ok());
    let own = fs::metadata(file).map_or(0, |found| found.len());
    own + beside.filter(fs::Metadata::is_file).map(|found| found.len()).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::PassError;
    use crate::model::testing::{golden, runtime};

    /// Which of the sessions are loaded.
    fn loaded(sessions: &Sessions<'_>) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            sessions.held.iter().filter(|(_, held)| held.session.is_some()).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn with<T>(budget: u64, test: impl FnOnce(&mut Sessions<'_>) -> T) -> T {
        let options = Options { threads: Some(1), ..Options::default() };
        let mut sessions = Sessions::new(runtime(), &options, budget);
        for (number, graph) in (0..).zip(["decoder", "encoder", "slow"]) {
            sessions.load(number, Blueprint::as_exported(&golden(&format!("graphs/{graph}.onnx")))).unwrap();
        }
        test(&mut sessions)
    }

    #[test]
    fn graphs_take_turns_where_there_is_room_for_one_only() {
        with(1, |sessions| {
            assert_eq!(loaded(sessions), [2]);
            for number in [0, 1, 0] {
                assert!(sessions.get(number).unwrap().is_some());
                assert_eq!(loaded(sessions), [number]);
            }
            sessions.close(0);
            assert!(sessions.get(0).unwrap().is_none());
        });
    }

    #[test]
    fn what_was_used_last_stays() {
        with(u64::MAX, |sessions| {
            assert_eq!(loaded(sessions), [0, 1, 2]);
            sessions.get(0).unwrap();
            sessions.budget = sessions.held.values().map(|held| held.bytes).sum::<u64>() - 1;
            sessions.make_room(0, 9);
            assert_eq!(loaded(sessions), [0, 2]);
        });
    }

    #[test]
    fn a_graph_that_cannot_be_made_again_stays() {
        with(u64::MAX, |sessions| {
            sessions.held.get_mut(&0).unwrap().again = false;
            sessions.budget = 1;
            sessions.get(1).unwrap();
            sessions.make_room(0, 1);
            assert_eq!(loaded(sessions), [0, 1]);
        });
    }

    #[test]
    fn a_graph_for_which_there_is_no_memory_is_refused_with_the_numbers_once_all_others_are_unloaded() {
        with(u64::MAX, |sessions| {
            let file = golden("graphs/slow.onnx");
            let weights = bytes_of(&file).max(sessions.held[&2].bytes) + fs::metadata(&file).unwrap().len();
            sessions.held.get_mut(&2).unwrap().session = None;
            sessions.free = || Some(9);
            let error = sessions.get(2).err().unwrap().to_string();
            let wanted = format!("out of memory: it needs {}, 9 B are free", size(weights));
            assert!(error.ends_with(&wanted), "{error}");
            assert!(PassError::is_about_memory(&error));
            assert_eq!(loaded(sessions), [0; 0]);
            sessions.free = available;
            assert!(sessions.get(2).unwrap().is_some());
        });
    }

    #[test]
    fn weights_beside_a_graph_count_and_descriptions_do_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in
            [("model.onnx", 10), ("model.onnx_data", 100), ("weights.pb", 1000), ("config.json", 5), ("deep.onnx", 7)]
        {
            fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(bytes_of(&folder.path().join("model.onnx")), 1110);
        assert!(resident() > 1 << 20);
    }
}
