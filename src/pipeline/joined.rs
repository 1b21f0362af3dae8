//! Tests of jobs that run at the same time and share the passes of the U-Net.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::tests::{load, recipe};
use super::{Pipeline, Source};
use crate::job::{Code, Failure, Generate, Made, Progress, Stage, Stop, Watch};
use crate::model::Options;
use crate::model::testing::{Miniature, Notes, bundled, golden, runtime};

/// One of several jobs, none of which begins to denoise before the others.
struct Together<'a> {
    start: &'a Barrier,
    /// Stops after so many passes.
    passes: Option<usize>,
    seen: AtomicUsize,
    /// Callers of the U-Net's passes, at least and at most.
    least: AtomicUsize,
    most: AtomicUsize,
}

impl<'a> Together<'a> {
    fn new(start: &'a Barrier, passes: Option<usize>) -> Self {
        let (seen, least, most) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Self { start, passes, seen, least, most }
    }
}

impl Watch for Together<'_> {
    fn progress(&self, progress: Progress) {
        if progress.stage == Stage::Denoise && self.seen.load(Ordering::Relaxed) == 0 {
            self.start.wait();
        }
    }

    fn heartbeat(&self) {}

    fn passed(&self, graph: &str, _: Duration, callers: usize) {
        if graph == "unet" {
            self.seen.fetch_add(1, Ordering::Relaxed);
            self.least.fetch_min(callers, Ordering::Relaxed);
            self.most.fetch_max(callers, Ordering::Relaxed);
        }
    }

    fn stop(&self) -> Option<Stop> {
        let over = self.passes.is_some_and(|passes| self.seen.load(Ordering::Relaxed) >= passes);
        over.then_some(Stop::Cancelled)
    }
}

/// What became of a job, and of how many callers its passes were at least and at most.
type Seen = (Result<Vec<Made>, Failure>, usize, usize);

/// Jobs with these fields at the same time; one may stop after so many passes.
fn together(pipeline: &Pipeline, jobs: &[(Value, Option<usize>)]) -> Vec<Seen> {
    let start = Barrier::new(jobs.len());
    let run = |(fields, passes): &(Value, Option<usize>)| {
        let watch = Together::new(&start, *passes);
        let made = pipeline.generate(&recipe(pipeline, fields.clone()), &watch);
        (made, watch.least.into_inner(), watch.most.into_inner())
    };
    thread::scope(|scope| {
        let running: Vec<_> = jobs.iter().map(|job| scope.spawn(|| run(job))).collect();
        running.into_iter().map(|job| job.join().unwrap()).collect()
    })
}

fn alone(pipeline: &Pipeline, fields: &Value) -> Vec<Made> {
    pipeline.generate(&recipe(pipeline, fields.clone()), &Notes::default()).unwrap()
}

/// Every job makes what it makes alone.
fn assert_equal(pipeline: &Pipeline, jobs: &[(Value, Option<usize>)], seen: &[Seen]) {
    for ((fields, _), (made, _, _)) in jobs.iter().zip(seen) {
        assert_eq!(made.as_ref().unwrap(), &alone(pipeline, fields), "{fields}");
    }
}

/// Jobs that have little in common but the size.
fn different() -> Vec<(Value, Option<usize>)> {
    let fields = [
        json!({"seed": 1, "steps": 8}),
        json!({"seed": 2, "steps": 12, "sampler": "euler_ancestral", "prompt": "z z"}),
        json!({"seed": 3, "steps": 5, "guidance_scale": 1.0, "count": 2}),
        json!({"seed": 4, "steps": 6, "sampler": "dpmpp_2m", "guidance_scale": 3.0}),
    ];
    fields.map(|fields| (fields, None)).into()
}

fn free() -> Pipeline {
    load(&Miniature::new().with("unet", "unet_legacy")).unwrap()
}

#[test]
fn jobs_at_different_steps_share_passes_and_make_the_pictures_that_they_make_alone() {
    let (pipeline, jobs) = (free(), different());
    let seen = together(&pipeline, &jobs);
    assert_equal(&pipeline, &jobs, &seen);
    let most: Vec<usize> = seen.iter().map(|(_, _, most)| *most).collect();
    assert!(most.iter().all(|most| *most > 1), "{most:?}");
}

#[test]
fn a_timestep_for_all_entries_is_shared_by_those_at_the_same_step_only() {
    let pipeline = load(&Miniature::new()).unwrap();
    let jobs = [(json!({"seed": 1}), None), (json!({"seed": 2}), None)];
    let seen = together(&pipeline, &jobs);
    assert_equal(&pipeline, &jobs, &seen);
    assert_eq!((seen[0].2, seen[1].2), (2, 2));
    let jobs = [(json!({"steps": 4}), None), (json!({"steps": 7}), None)];
    let seen = together(&pipeline, &jobs);
    assert_equal(&pipeline, &jobs, &seen);
    assert!(seen.iter().all(|(_, least, _)| *least == 1));
}

#[test]
fn another_size_a_fixed_batch_and_a_lack_of_room_keep_jobs_apart() {
    let apart = |pipeline: &Pipeline, other: Value| {
        let jobs = [(json!({"seed": 1}), None), (other, None)];
        let seen = together(pipeline, &jobs);
        assert_equal(pipeline, &jobs, &seen);
        assert!(seen.iter().all(|(_, _, most)| *most == 1));
    };
    apart(&free(), json!({"width": 16}));
    apart(&load(&Miniature::new().with("unet", "unet_batch_1")).unwrap(), json!({"seed": 2}));
    let model = Miniature::new().with("unet", "unet_legacy");
    let source = Source { name: "mini".to_owned(), folder: model.path().to_owned(), safety: true };
    // Both passes of guidance of one picture of 8x8 latents, and none besides.
    let narrow = Options { threads: Some(1), room: Some(2 * 64), ..Options::default() };
    apart(&Pipeline::load(runtime(), narrow, &[source], None).unwrap(), json!({"seed": 2}));
}

#[test]
fn a_job_that_is_stopped_leaves_the_others_their_passes() {
    let (pipeline, mut jobs) = (free(), different());
    jobs[1].1 = Some(3);
    let mut seen = together(&pipeline, &jobs);
    let (stopped, _, most) = seen.remove(1);
    assert_eq!(stopped.unwrap_err().stop, Some(Stop::Cancelled));
    assert!(most > 1);
    jobs.remove(1);
    assert_equal(&pipeline, &jobs, &seen);
}

#[test]
fn passes_that_fail_together_are_tried_one_by_one() {
    let pipeline = load(&Miniature::new().with("unet", "unet_traced")).unwrap();
    let jobs = [(json!({"seed": 1}), None), (json!({"seed": 2, "steps": 7}), None)];
    let seen = together(&pipeline, &jobs);
    assert_equal(&pipeline, &jobs, &seen);
    // One that fails alone fails with ONNX Runtime's words, and the others do not.
    let jobs = [(json!({"seed": 1}), None), (json!({"count": 2}), None)];
    let mut seen = together(&pipeline, &jobs);
    assert_eq!(seen.remove(1).0.unwrap_err().code, Code::Inference);
    assert_equal(&pipeline, &jobs[..1], &seen);
}

#[test]
fn a_real_u_net_whose_export_has_one_timestep_for_all_gets_one_for_each_entry() {
    for model in [bundled("shapes"), golden("toy")] {
        let source = Source { name: "mini".to_owned(), folder: model, safety: true };
        let load = |joins| {
            let options = Options { joins, ..Options::default() };
            Pipeline::load(runtime(), options, std::slice::from_ref(&source), None).unwrap()
        };
        let (plain, joining) = (load(false), load(true));
        let jobs = [
            (json!({"seed": 1, "steps": 4, "sampler": "euler"}), None),
            (json!({"seed": 2, "steps": 7, "sampler": "dpmpp_2m", "prompt": "z z"}), None),
        ];
        let seen = together(&joining, &jobs);
        assert!(seen.iter().all(|(_, _, most)| *most == 2));
        for ((fields, _), (made, _, _)) in jobs.iter().zip(&seen) {
            let (made, alone) = (made.as_ref().unwrap(), alone(&plain, fields));
            let pairs = made[0].picture.pixels().iter().zip(alone[0].picture.pixels());
            let apart = pairs.map(|(one, other)| one.abs_diff(*other)).max();
            assert!(apart <= Some(1), "{fields}: {apart:?}");
        }
        // Without the change of the graph only those at the same step can share a pass.
        let seen = together(&plain, &jobs);
        assert!(seen.iter().all(|(_, least, _)| *least == 1));
    }
}
