//! What came of a storm.

use std::collections::BTreeSet;
use std::time::Duration;

use super::oracle::{Fault, Seen, What, Work, judge};
use super::requester::sha256;
use super::weather::expected;
use super::{picture, steady};

/// What came of it.
#[derive(Clone)]
pub struct Wreck {
    pub seen: Vec<Seen>,
    pub work: Vec<Work>,
    /// Jobs that the service does at the same time.
    pub at_once: usize,
    /// Kills of the service, and of the broker.
    pub kills: (usize, usize),
    /// Seconds until `online`: after a start of the service, and after the broker came back.
    pub recoveries: (Vec<f64>, Vec<f64>),
    /// Retained topics at the end, below the node's own.
    pub retained: BTreeSet<String>,
    /// Exit code of the clean stop at the end.
    pub exit: Option<i32>,
    pub took: Duration,
}

impl Wreck {
    /// What the oracle says.
    pub fn faults(&self) -> BTreeSet<Fault> {
        judge(&self.seen, (&self.work, self.at_once), &expected, &|seed| sha256(&picture::pixels(seed, 64, 64)))
    }

    /// How many jobs were at work at the same time in one life of the service, at most.
    pub fn most_at_once(&self) -> usize {
        let (mut life, mut running, mut most) = (0, BTreeSet::new(), 0);
        for work in &self.work {
            if life != work.life {
                (life, running) = (work.life, BTreeSet::new());
            }
            let job = work.job.as_str();
            if work.begins {
                running.insert(job)
            } else {
                running.remove(job)
            };
            most = most.max(running.len());
        }
        most
    }

    /// The figures, for people.
    pub fn report(&self) -> String {
        let count =
            |wanted: &str| self.seen.iter().filter(|seen| format!("{:?}", seen.what).starts_with(wanted)).count();
        let jobs: BTreeSet<&str> = self.seen.iter().map(|seen| seen.job.as_str()).collect();
        let again = self.work.iter().filter(|work| work.begins).count() as i64 - jobs.len() as i64;
        let poison: BTreeSet<&str> = self
            .seen
            .iter()
            .filter(|seen| matches!(&seen.what, What::Outcome(outcome) if outcome.code == "poison"))
            .map(|seen| seen.job.as_str())
            .collect();
        let times = |name: &str, times: &[f64]| {
            format!(
                "{name}: {} times, median {:.2} s, p99 {:.2} s",
                times.len(),
                steady::quantile(times, 0.5),
                steady::quantile(times, 0.99)
            )
        };
        format!(
            "{} jobs in {:.0} s; sent {} times, refused {}, outcomes heard {}, pictures heard {}\n\
             kills: service {}, broker {}; begun again {again}, poison {}\nonline again after {}\nonline again after {}",
            jobs.len(),
            self.took.as_secs_f64(),
            count("Sent"),
            count("Refused"),
            count("Outcome"),
            count("Picture"),
            self.kills.0,
            self.kills.1,
            poison.len(),
            times("a kill of the service", &self.recoveries.0),
            times("the broker's return", &self.recoveries.1),
        )
    }

    /// For looking closer: what happened to a job, in order.
    pub fn story(&self, job: &str) -> String {
        let seen = self.seen.iter().filter(|seen| seen.job == job).map(|seen| (seen.time, format!("{:?}", seen.what)));
        let work =
            self.work.iter().filter(|work| work.job == job).map(|work| {
                (work.time, format!("{} in life {}", if work.begins { "begun" } else { "made" }, work.life))
            });
        let mut all: Vec<_> = seen.chain(work).collect();
        all.sort();
        let first = all.first().map_or(0, |first| first.0);
        all.iter().map(|(time, what)| format!("{job} {:9.3} s  {what}\n", (time - first) as f64 / 1e6)).collect()
    }
}
