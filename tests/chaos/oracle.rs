//! The oracle: what the requesters saw and what the generator did, held against each other. Knows no socket and no clock.

use std::collections::{BTreeMap, BTreeSet};

/// Something that a requester did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Microseconds since 1970.
    pub time: i64,
    /// The id of the job.
    pub job: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The request was sent, for the first time or again.
    Sent,
    Accepted,
    Started {
        attempt: u64,
    },
    /// The request was refused, and will be sent again.
    Refused {
        code: String,
    },
    Outcome(Outcome),
    /// SHA-256 of a picture's bytes, and of its pixels.
    Picture {
        k: u64,
        bytes: String,
        pixels: String,
    },
}

/// How a job ended, without what may differ when it is told again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub state: String,
    pub code: String,
    /// Index, seed, SHA-256.
    pub images: Vec<(u64, u64, String)>,
}

/// A line of the generator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub time: i64,
    /// The life of the service: its process.
    pub life: u32,
    pub begins: bool,
    pub job: String,
}

/// What must not be, each with the job that it befell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A request had no outcome.
    Lost(String),
    /// Two different outcomes.
    TwoOutcomes(String),
    /// Not all pictures of a job that is done.
    Missing(String),
    /// The same picture came with other bytes, or with bytes other than announced.
    OtherBytes(String),
    /// The pixels are not those of the seed.
    OtherPixels(String),
    /// It was made again after it was done.
    MadeAgain(String),
    /// Given up without two deaths over it.
    Poison(String),
    /// Tried a third time.
    ThirdTry(String),
    /// An outcome that nobody scripted.
    Unexpected(String),
}

/// What is expected of a job, from the script in its prompt.
pub type Expect<'a> = &'a dyn Fn(&str) -> &'static str;

/// Everything that is wrong with the work of a service that does `at_once` jobs at the same time.
pub fn judge(
    seen: &[Seen],
    (work, at_once): (&[Work], usize),
    expect: Expect<'_>,
    pixels_of: &dyn Fn(u64) -> String,
) -> BTreeSet<Fault> {
    let mut jobs: BTreeMap<&str, Story> = BTreeMap::new();
    for event in seen {
        jobs.entry(&event.job).or_default().hear(event);
    }
    let mut faults = BTreeSet::new();
    for (job, story) in &jobs {
        faults.extend(story.faults(job, expect(job), pixels_of));
    }
    faults.extend(made_again(&jobs, work, at_once));
    faults.extend(tries(&jobs, work));
    faults
}

/// What was seen of one job.
#[derive(Default)]
struct Story {
    outcomes: BTreeSet<Outcome>,
    done: Option<i64>,
    attempts: u64,
    /// SHA-256 of the bytes and of the pixels that came, by index.
    pictures: BTreeMap<u64, BTreeSet<(String, String)>>,
}

impl Story {
    fn hear(&mut self, event: &Seen) {
        match &event.what {
            What::Sent | What::Accepted | What::Refused { .. } => {}
            What::Started { attempt } => self.attempts = self.attempts.max(*attempt),
            What::Outcome(outcome) => {
                if outcome.state == "done" {
                    self.done = Some(self.done.map_or(event.time, |done| done.min(event.time)));
                }
                self.outcomes.insert(outcome.clone());
            }
            What::Picture { k, bytes, pixels } => {
                self.pictures.entry(*k).or_default().insert((bytes.clone(), pixels.clone()));
            }
        }
    }

    fn faults(&self, job: &str, expected: &str, pixels_of: &dyn Fn(u64) -> String) -> Vec<Fault> {
        let name = || job.to_owned();
        let mut faults = Vec::new();
        let Some(outcome) = self.outcomes.first() else { return vec![Fault::Lost(name())] };
        if self.outcomes.len() > 1 {
            faults.push(Fault::TwoOutcomes(name()));
        }
        let told = if outcome.code.is_empty() { &outcome.state } else { &outcome.code };
        if told != expected && told != "poison" {
            faults.push(Fault::Unexpected(name()));
        }
        if self.pictures.values().any(|versions| versions.len() > 1) {
            faults.push(Fault::OtherBytes(name()));
        }
        for (k, seed, announced) in &outcome.images {
            match self.pictures.get(k).and_then(BTreeSet::first) {
                None => faults.push(Fault::Missing(name())),
                Some((bytes, _)) if bytes != announced => faults.push(Fault::OtherBytes(name())),
                Some((_, pixels)) if *pixels != pixels_of(*seed) => faults.push(Fault::OtherPixels(name())),
                Some(_) => {}
            }
        }
        faults
    }
}

/// Jobs that were begun again after they were done: a requester had seen that, or the same life of the service, which
/// does `at_once` jobs at the same time, had gone on to another one. It does that only when the end of one is on the disk;
/// of which one is known if only one had ended.
fn made_again(jobs: &BTreeMap<&str, Story>, work: &[Work], at_once: usize) -> Vec<Fault> {
    // Jobs that a life has begun and that may not be over, and whether they have ended.
    let mut at_hand: BTreeMap<u32, BTreeMap<&str, bool>> = BTreeMap::new();
    let mut over: BTreeSet<&str> = BTreeSet::new();
    let mut faults = Vec::new();
    for entry in work {
        let (job, running) = (entry.job.as_str(), at_hand.entry(entry.life).or_default());
        if !entry.begins {
            running.entry(job).and_modify(|ended| *ended = true);
            continue;
        }
        let seen_done = jobs.get(job).and_then(|story| story.done).is_some_and(|done| entry.time > done);
        if seen_done || over.contains(job) || running.contains_key(job) {
            faults.push(Fault::MadeAgain(entry.job.clone()));
        }
        if running.len() >= at_once {
            let ended: Vec<&str> =
                running.iter().filter(|(_, ended)| **ended || at_once == 1).map(|(job, _)| *job).collect();
            over.extend(ended.iter().filter(|_| ended.len() == 1));
            running.retain(|job, _| !ended.contains(job));
        }
        running.insert(job, false);
    }
    faults
}

/// How often jobs were tried, against what became of them.
///
/// A try that was not the last ended with the death of the process. One of the two deaths may lie in the moment when
/// `started` is on the disk and the generator not yet called: then `started` stands for it.
fn tries(jobs: &BTreeMap<&str, Story>, work: &[Work]) -> Vec<Fault> {
    let mut lives: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for entry in work.iter().filter(|entry| entry.begins) {
        lives.entry(&entry.job).or_default().insert(entry.life);
    }
    let tried = |job: &str| lives.get(job).map_or(0, BTreeSet::len);
    let mut faults: Vec<Fault> =
        lives.keys().filter(|job| tried(job) > 2).map(|job| Fault::ThirdTry((*job).to_owned())).collect();
    for (job, story) in jobs {
        let poisoned = story.outcomes.iter().any(|outcome| outcome.code == "poison");
        if poisoned && (tried(job) == 0 || story.attempts.max(tried(job) as u64) < 2) {
            faults.push(Fault::Poison((*job).to_owned()));
        }
    }
    faults
}
