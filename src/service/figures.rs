//! What was counted since the start, for whoever draws curves of it. What the moment is like stands in the snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use super::store::State;
use crate::job::Code;

/// Upper ends of a histogram's buckets, in seconds; the last bucket has no end.
const BOUNDS: [f64; 13] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// How often times of each length were seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.buckets[bucket] += 1;
        self.sum += time;
    }

    /// The upper end of each bucket in seconds, the last one infinite, and how many times were no longer than that.
    pub fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.buckets).map(move |(bound, times)| {
            sum += times;
            (bound, sum)
        })
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

/// What was counted since the process started. Names no client, id or prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests that became jobs.
    pub accepted: u64,
    /// Requests that were taken before, and got their answer again.
    pub repeated: u64,
    /// Requests that were not taken, by code; those of pools that went back to other nodes are among them.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Jobs that ended, by state.
    pub ended: BTreeMap<&'static str, u64>,
    /// Jobs that failed, by code.
    pub failed: BTreeMap<&'static str, u64>,
    /// Pictures of finished jobs, by model.
    pub images: BTreeMap<String, u64>,
    /// How long finished jobs waited.
    pub queued: Histogram,
    /// How long they ran.
    pub ran: Histogram,
    /// How long their stages took, by the contract's names.
    pub stages: BTreeMap<&'static str, Histogram>,
    /// How long their steps took, by model; rests are part of them.
    pub steps: BTreeMap<String, Histogram>,
    /// Connections to the broker that were made.
    pub connects: u64,
    /// Those that ended.
    pub disconnects: u64,
}

/// A finished job.
pub(super) struct Done<'a> {
    pub(super) model: &'a str,
    pub(super) pictures: usize,
    pub(super) queued: Duration,
    pub(super) ran: Duration,
    pub(super) stages: BTreeMap<&'static str, Duration>,
    pub(super) steps: Vec<Duration>,
}

impl Figures {
    /// A request was not taken.
    pub fn refused(&mut self, code: Code) {
        *self.rejected.entry(code.name()).or_default() += 1;
    }

    /// Jobs ended in this state.
    pub fn ended(&mut self, state: State, jobs: u64) {
        *self.ended.entry(state.name()).or_default() += jobs;
    }

    /// A job failed.
    pub fn failed(&mut self, code: Code) {
        *self.failed.entry(code.name()).or_default() += 1;
    }

    /// A job is done.
    pub(super) fn done(&mut self, job: &Done<'_>) {
        self.ended(State::Done, 1);
        *self.images.entry(job.model.to_owned()).or_default() += job.pictures as u64;
        self.queued.add(job.queued);
        self.ran.add(job.ran);
        for (stage, time) in &job.stages {
            self.stages.entry(stage).or_default().add(*time);
        }
        let steps = self.steps.entry(job.model.to_owned()).or_default();
        job.steps.iter().for_each(|time| steps.add(*time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_every_bucket_that_reaches_so_far() {
        let mut histogram = Histogram::default();
        [50, 51, 700_000].map(Duration::from_millis).into_iter().for_each(|time| histogram.add(time));
        let buckets: Vec<(f64, u64)> = histogram.up_to().collect();
        assert_eq!((buckets.len(), buckets[0], buckets[1]), (14, (0.05, 1), (0.1, 2)));
        assert_eq!((buckets[12], buckets[13]), ((600.0, 2), (f64::INFINITY, 3)));
        assert_eq!((histogram.count(), histogram.sum()), (3, Duration::from_millis(700_101)));
    }

    #[test]
    fn a_job_that_is_done_is_counted_once_with_its_pictures_stages_and_steps() {
        let second = Duration::from_secs(1);
        let mut figures = Figures::default();
        let stages = BTreeMap::from([("denoise", 2 * second), ("decode", second)]);
        let steps = vec![second, second];
        figures.done(&Done { model: "sd15", pictures: 3, queued: second, ran: 3 * second, stages, steps });
        assert_eq!((figures.ended["done"], figures.images["sd15"], figures.steps["sd15"].count()), (1, 3, 2));
        assert_eq!((figures.stages["denoise"].sum(), figures.ran.sum()), (2 * second, 3 * second));
    }
}
