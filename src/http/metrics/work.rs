//! Requests, jobs and where their time goes.

use crate::http::exposition::Exposition;
use crate::service::store::State;
use crate::service::{Figures, Snapshot};

/// How a job can end.
const ENDS: [State; 4] = [State::Done, State::Failed, State::Cancelled, State::Expired];

pub(super) fn write(text: &mut Exposition, now: &Snapshot, figures: &Figures) {
    requests(text, now, figures);
    jobs(text, now, figures);
    times(text, figures);
}

fn requests(text: &mut Exposition, now: &Snapshot, figures: &Figures) {
    text.counter("diffused_requests_total", "Requests, by what became of them.")
        .of("result", "accepted", figures.accepted)
        .of("result", "duplicate", figures.repeated)
        .of("result", "rejected", figures.rejected.values().sum::<u64>());
    let mut rejected =
        text.counter("diffused_rejections_total", "Requests that were not taken, by the contract's code.");
    for (code, requests) in &figures.rejected {
        rejected.of("code", code, requests);
    }
    text.counter("diffused_ignored_messages_total", "Messages that nobody could be answered about.").is(now.ignored);
}

fn jobs(text: &mut Exposition, now: &Snapshot, figures: &Figures) {
    let mut jobs = text.counter("diffused_jobs_total", "Jobs that ended, by how.");
    for state in ENDS {
        jobs.of("state", state.name(), figures.ended.get(state.name()).unwrap_or(&0));
    }
    let mut failed = text.counter("diffused_job_failures_total", "Jobs that failed, by the contract's code.");
    for (code, jobs) in &figures.failed {
        failed.of("code", code, jobs);
    }
    let mut images = text.counter("diffused_images_total", "Pictures of jobs that were done, by model.");
    for (model, pictures) in &figures.images {
        images.of("model", model, pictures);
    }
    text.gauge("diffused_queue_depth", "Jobs that wait or run.").is(now.queue);
    text.gauge("diffused_queue_capacity", "Jobs that fit.").is(now.queue_limit);
    text.gauge("diffused_queue_estimate_seconds", "Guessed time until a new job would begin.")
        .is(now.eta.as_secs_f64());
}

fn times(text: &mut Exposition, figures: &Figures) {
    text.histogram("diffused_job_queue_duration_seconds", "How long jobs that were done had waited.")
        .times(None, &figures.queued);
    text.histogram("diffused_job_duration_seconds", "How long jobs that were done had run.").times(None, &figures.ran);
    let mut stages = text.histogram("diffused_job_stage_duration_seconds", "How long the stages of these jobs took.");
    for (stage, times) in &figures.stages {
        stages.times(Some(("stage", stage)), times);
    }
    let mut steps = text.histogram("diffused_denoise_step_duration_seconds", "How long their steps took, by model.");
    for (model, times) in &figures.steps {
        steps.times(Some(("model", model)), times);
    }
}
