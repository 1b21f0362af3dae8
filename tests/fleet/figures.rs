//! What a course showed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use diffused::mqtt::requester::{Answer, AskError};

use super::course::Member;
use super::ear::Said;
use super::spans::{Span, overlap, union, without};

/// What a course showed; times in milliseconds, in order.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests without a picture, and requesters that kept another `done` than the first.
    pub faults: Vec<String>,
    /// Whose pictures the requesters have.
    pub made_by: BTreeMap<String, usize>,
    /// Generations that nobody needed.
    pub extra: usize,
    /// How often a request was given back, and the largest number of times for one message.
    pub handbacks: usize,
    pub most_hops: u8,
    /// Requests that were published more than once.
    pub repeated: usize,
    /// From the first publication to the `done` that was kept.
    pub waits: Vec<f64>,
    /// For how long, before its generation began, some node was idle that would have taken it.
    pub idle_waits: Vec<f64>,
}

impl Figures {
    pub(super) fn of(said: &[Said], fleet: &[Member], answers: Vec<(String, Result<Answer, AskError>)>) -> Self {
        let mut figures = Self::default();
        let idle = union(fleet.iter().flat_map(|member| without(&member.willing, &member.busy())).collect());
        let begins = begins(fleet);
        for (name, answer) in answers {
            let kept = answer.map(|answer| answer.done["node"].as_str().unwrap_or_default().to_owned());
            match kept {
                Ok(node) => figures.note(said, &name, &node, &begins, &idle),
                Err(error) => figures.faults.push(format!("{name}: {error}")),
            }
        }
        let distinct: BTreeSet<&String> = begins.iter().map(|(_, job)| job).collect();
        figures.extra = begins.len() - distinct.len();
        let hops: Vec<u8> =
            said.iter().filter(|it| it.level(3) == "handback").map(|it| it.level(4).parse().unwrap()).collect();
        (figures.handbacks, figures.most_hops) = (hops.len(), hops.into_iter().max().unwrap_or(0));
        figures.waits.sort_by(f64::total_cmp);
        figures.idle_waits.sort_by(f64::total_cmp);
        figures
    }

    fn note(&mut self, said: &[Said], name: &str, node: &str, begins: &[(i64, String)], idle: &[Span]) {
        let asked: Vec<i64> = said.iter().filter(|it| is_request(it, name)).map(|it| it.at).collect();
        let done = said
            .iter()
            .find(|it| it.topic.ends_with(&format!("/reply/{name}/{name}/status")) && it.text("state") == "done");
        let begun = begins.iter().filter(|(_, job)| job == name).map(|(time, _)| *time).min();
        let (Some(first), Some(done), Some(begun)) = (asked.first(), done, begun) else {
            return self.faults.push(format!("{name}: a picture without a request, a beginning or an end"));
        };
        if done.level(1) != node {
            self.faults.push(format!("{name}: the picture of {node} was kept, but {} was first", done.level(1)));
        }
        *self.made_by.entry(node.to_owned()).or_default() += 1;
        self.repeated += usize::from(asked.len() > 1);
        self.waits.push((done.at - first) as f64 / 1e3);
        self.idle_waits.push(overlap((*first, begun), idle) as f64 / 1e3);
    }

    /// Nearest rank; `share` from 0 to 1.
    pub fn at(sorted: &[f64], share: f64) -> f64 {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |sorted: &[f64]| [0.5, 0.99, 1.0].map(|share| format!("{:.0}", Self::at(sorted, share))).join(" / ");
        writeln!(f, "made by {:?}, {} generations extra, {} faults", self.made_by, self.extra, self.faults.len())?;
        writeln!(
            f,
            "handbacks {}, at most {} of one request, {} requests sent again",
            self.handbacks, self.most_hops, self.repeated
        )?;
        writeln!(f, "from request to done {} ms (p50 / p99 / most)", line(&self.waits))?;
        writeln!(f, "idle while work waits {} ms (p50 / p99 / most)", line(&self.idle_waits))
    }
}

/// When generations began for requesters of the pool, on all nodes.
fn begins(fleet: &[Member]) -> Vec<(i64, String)> {
    let work = fleet.iter().flat_map(|member| member.node.work());
    work.filter(|it| it.begins && !it.job.starts_with("own")).map(|it| (it.time, it.job)).collect()
}

fn is_request(said: &Said, name: &str) -> bool {
    said.topic == format!("diffused/pool/studio/request/{name}")
}
