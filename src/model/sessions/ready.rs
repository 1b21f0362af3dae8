//! A session that is loaded, about to make a pass.

use std::time::Duration;

use ndarray::ArrayD;

use super::super::accelerator::Arena;
use super::super::memory::resident;
use super::super::session::{Begin, Feed};
use super::{Appetite, Sessions};
use crate::board::size;

/// A session that is loaded, about to make a pass.
pub(in crate::model) struct Ready<'s, 'a> {
    pub(super) sessions: &'s mut Sessions<'a>,
    pub(super) number: u64,
}

/// What a pass says of its size.
struct Sized {
    /// Of the first input: pictures or latents go in there.
    shape: Vec<usize>,
    /// Whether the same could be had in smaller batches.
    divides: bool,
    /// Bytes that it takes, as far as known, and those of them that the session has already.
    needs: u64,
    kept: u64,
}

impl Ready<'_, '_> {
    /// One pass, as [`Session::run`](super::Session::run). Fails with the numbers where there is not the memory for it. For
    /// a pass of one picture others are unloaded before; more pictures should rather come in smaller batches.
    pub(in crate::model) fn run(
        mut self,
        feeds: Vec<Feed>,
        wanted: &[String],
        begin: Begin<'_>,
    ) -> Result<(Vec<ArrayD<f32>>, Duration), String> {
        let sized = self.sized(&feeds);
        if let Some(sized) = &sized {
            self.check(sized)?;
        }
        let Some(session) = self.sessions.held.get_mut(&self.number).and_then(|held| held.session.as_mut()) else {
            return Err("the graph is not loaded".to_owned());
        };
        // What is known to fit in what the session has needs no second look.
        let sized = sized.filter(|sized| sized.needs == 0 || sized.needs > sized.kept);
        let before = sized.as_ref().map_or(0, |_| resident());
        let outcome = session.run(feeds, wanted, begin).map_err(|error| error.to_string())?;
        if let Some(sized) = sized {
            self.learn(&sized, resident() as i64 - before as i64);
        }
        Ok(outcome)
    }

    /// How large a pass is; nothing where that does not count.
    fn sized(&mut self, feeds: &[Feed]) -> Option<Sized> {
        let (held, first) = (self.sessions.held.get(&self.number)?, feeds.first()?);
        let (file, shape) = (held.file.clone(), first.value.shape().to_vec());
        if shape.len() != 4 || !self.sessions.takes_memory(&file) {
            return None;
        }
        let divides = shape[0] > 1 && first.port.batch().is_none();
        let kept = held.kept;
        let appetite = self.sessions.appetites.entry(file);
        let appetite = appetite.or_insert_with_key(|file| Appetite::of(file, &first.port.name));
        Some(Sized { needs: appetite.bytes(&shape), shape, divides, kept })
    }

    fn check(&mut self, sized: &Sized) -> Result<(), String> {
        let more = sized.needs.saturating_sub(sized.kept);
        if more == 0 {
            return Ok(());
        }
        let free = match sized.divides {
            true => (self.sessions.free)().filter(|free| *free < more),
            false => self.sessions.lacking(more, self.number),
        };
        let Some(free) = free else { return Ok(()) };
        Err(format!("it needs {} besides its weights, the available memory is {}", size(more), size(free)))
    }

    /// Learns from a pass in which the process's memory grew so much.
    fn learn(&mut self, sized: &Sized, grew: i64) {
        let Some(held) = self.sessions.held.get_mut(&self.number) else { return };
        // Without an arena nothing is left to be measured.
        if self.sessions.options.choice(&held.file).arena == Arena::Off {
            return;
        }
        held.kept = held.kept.saturating_add_signed(grew);
        if let Some(appetite) = self.sessions.appetites.get_mut(&held.file) {
            appetite.learn(&sized.shape, u64::try_from(grew).unwrap_or(0), held.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Array4;

    use super::*;
    use crate::model::blueprint::Blueprint;
    use crate::model::error::PassError;
    use crate::model::memory::available;
    use crate::model::session::Options;
    use crate::model::testing::{bundled, golden, runtime};

    const DECODER: u64 = 1;

    /// The bundled model's decoder, and another graph loaded before it.
    fn with<T>(test: impl FnOnce(&mut Sessions<'_>, &dyn Fn(usize) -> Vec<Feed>) -> T) -> T {
        let options = Options { threads: Some(1), ..Options::default() };
        let mut sessions = Sessions::new(runtime(), &options, u64::MAX);
        sessions.load(0, Blueprint::as_exported(&golden("graphs/slow.onnx"))).unwrap();
        let decoder = Blueprint::as_exported(&bundled("shapes/vae_decoder/model.onnx"));
        let (_, ports) = sessions.load(DECODER, decoder).unwrap();
        let port = ports.input(&["latent_sample"], &[4]).unwrap();
        let feeds = |batch| vec![Feed { port: port.clone(), value: Array4::<f32>::zeros([batch, 4, 8, 8]).into_dyn() }];
        test(&mut sessions, &feeds)
    }

    fn pass(sessions: &mut Sessions<'_>, feeds: Vec<Feed>) -> Result<usize, String> {
        let ready = sessions.get(DECODER).unwrap().unwrap();
        let (values, _) = ready.run(feeds, &["sample".to_owned()], &Arc::new)?;
        Ok(values[0].len())
    }

    fn other_is_loaded(sessions: &Sessions<'_>) -> bool {
        sessions.held[&0].session.is_some()
    }

    #[test]
    fn a_pass_for_which_there_is_no_memory_is_refused_with_the_numbers_once_all_others_are_unloaded() {
        with(|sessions, feeds| {
            sessions.free = || Some(1000);
            let error = pass(sessions, feeds(1)).unwrap_err();
            assert_eq!(error, "it needs 819.2 kB besides its weights, the available memory is 1.0 kB");
            assert!(matches!(PassError::of_runtime(error), PassError::OutOfMemory(_)));
            assert!(!other_is_loaded(sessions));
            // The control: with memory for it, it is made.
            sessions.free = || Some(819_200);
            assert_eq!(pass(sessions, feeds(1)), Ok(3 * 64 * 64));
        });
    }

    #[test]
    fn a_batch_that_could_be_smaller_is_refused_before_anything_is_unloaded() {
        with(|sessions, feeds| {
            sessions.free = || Some(819_200);
            assert!(pass(sessions, feeds(2)).is_err());
            assert!(other_is_loaded(sessions));
            assert_eq!(pass(sessions, feeds(1)), Ok(3 * 64 * 64));
            assert!(other_is_loaded(sessions));
        });
    }

    #[test]
    fn what_a_session_has_from_a_pass_before_need_not_be_free() {
        with(|sessions, feeds| {
            sessions.free = || Some(9);
            sessions.held.get_mut(&DECODER).unwrap().kept = 819_190;
            assert!(pass(sessions, feeds(1)).is_err());
            sessions.held.get_mut(&DECODER).unwrap().kept = 819_191;
            assert!(pass(sessions, feeds(1)).is_ok());
        });
    }

    #[test]
    fn a_pass_is_measured_once() {
        with(|sessions, feeds| {
            sessions.free = available;
            pass(sessions, feeds(4)).unwrap();
            let measured =
                |sessions: &Sessions<'_>| sessions.appetites[&sessions.held[&DECODER].file].bytes(&[4, 4, 8, 8]);
            let (kept, bytes) = (sessions.held[&DECODER].kept, measured(sessions));
            assert!(bytes >= 2 * 819_200, "half of what the nodes tell at least, got {bytes}");
            sessions.held.get_mut(&DECODER).unwrap().kept = kept.max(bytes);
            pass(sessions, feeds(4)).unwrap();
            assert_eq!(measured(sessions), bytes);
        });
    }
}
