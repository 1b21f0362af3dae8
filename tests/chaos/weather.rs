//! How hard a storm is, and what each of its requests is for.

use std::time::Duration;

/// How bad the weather is.
#[derive(Clone)]
pub struct Weather {
    pub seed: u64,
    pub clients: usize,
    /// Requests of all clients together.
    pub requests: u64,
    /// Jobs that the queue holds.
    pub queue: usize,
    /// Jobs at the same time.
    pub jobs: u32,
    /// Milliseconds that a picture takes.
    pub pass: u64,
    /// Mean times between kills.
    pub service: Duration,
    pub broker: Duration,
    /// Mean time that the broker stays away.
    pub away: Duration,
    /// Whether the broker loses its state with every kill.
    pub wiped: bool,
    /// After how long a requester asks again.
    pub patience: Duration,
    /// How long it may take altogether.
    pub limit: Duration,
}

/// What a job's prompt says after its name: one in two hundred kills the process the first time, some fail.
pub fn script(job: &str) -> &'static str {
    let number: u64 = job.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match number % 200 {
        33 => "crash-once",
        66 | 166 => "fail",
        99 => "oom",
        133 => "crash",
        _ => "",
    }
}

/// How it must end: with this code, or well.
pub fn expected(job: &str) -> &'static str {
    match script(job) {
        "fail" => "inference",
        "oom" => "out_of_memory",
        "crash" => "poison",
        _ => "done",
    }
}
