//! What may be asked besides pictures: commands of a client, and orders of an administrator.

use super::fields::Fields;
use super::outcome::{Code, Rejection};
use super::units::{JobId, PartRanges, shown};

/// A valid command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End one job of this client, or all of them if `job` is absent.
    Cancel {
        /// The job.
        job: Option<JobId>,
    },
    /// Send again what belongs to a job.
    Get {
        /// The job.
        job: JobId,
        /// How much of it.
        what: Asked,
    },
    /// Tell what there is.
    List {
        /// Of what.
        what: Listing,
        /// Only what comes after this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Make the newest job of this client again, with another seed.
    Repeat,
}

/// How much of a job is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Every picture and the last status.
    All,
    /// One picture, whole or in all of its parts.
    Picture(u8),
    /// Some parts of one picture.
    Parts(u8, PartRanges),
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Jobs of this client, the oldest first.
    Jobs,
    /// Models.
    Models,
    /// Adapters of the default model.
    Adapters,
}

impl Listing {
    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Models => "models",
            Self::Adapters => "adapters",
        }
    }
}

/// An order of an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Take no requests and begin no job, until `resume`, also after a restart.
    Pause,
    /// Work as usual again.
    Resume,
    /// Take no requests, but finish the queue.
    Drain,
    /// Look at the adapters' folder now.
    Reload,
    /// Publish every retained topic again.
    Announce,
    /// End every waiting job of every client.
    Clear,
}

impl Admin {
    /// Every order, in the contract's order.
    pub const ALL: [Self; 6] = [Self::Pause, Self::Resume, Self::Drain, Self::Reload, Self::Announce, Self::Clear];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Reload => "reload",
            Self::Announce => "announce",
            Self::Clear => "clear",
        }
    }

    /// The order of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == name)
    }
}

/// The commands' names, in the contract's order.
pub const COMMANDS: [&str; 4] = ["cancel", "get", "list", "repeat"];

/// Entries of a list if nothing is said, and the most that can be asked for.
const LIMIT: u8 = 8;
const MOST: i64 = 32;

/// What was ordered, and how its author calls the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order<T> {
    /// Names the order; the answer goes to this name.
    pub id: Option<String>,
    /// The order.
    pub what: T,
}

/// Why a message is no command, with what its answer needs.
#[derive(Debug, PartialEq)]
pub struct RefusedCommand {
    /// The command's word, as far as it could be read.
    pub command: &'static str,
    /// The command's id; nothing if it could not be read.
    pub id: Option<String>,
    /// What is wrong.
    pub rejection: Rejection,
}

impl Command {
    /// The contract's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Get { .. } => "get",
            Self::List { .. } => "list",
            Self::Repeat => "repeat",
        }
    }

    /// Reads a client's command of at most `limit` bytes.
    pub fn parse(payload: &[u8], retained: bool, limit: usize) -> Result<Order<Self>, RefusedCommand> {
        order(payload, retained, limit, &COMMANDS, Self::take)
    }

    fn take(command: &str, fields: &mut Fields) -> Result<Self, Rejection> {
        match command {
            "cancel" => Ok(Self::Cancel { job: some_job(fields)? }),
            "get" => {
                let job = some_job(fields)?.ok_or_else(|| Rejection::field("job", "job must be one job, not *"))?;
                Ok(Self::Get { job, what: asked(fields)? })
            }
            "list" => {
                let what = listing(fields.text("what")?)?;
                let limit = fields.integer("limit")?.unwrap_or(i64::from(LIMIT));
                let limit = usize::try_from(limit).ok().filter(|_| (1..=MOST).contains(&limit)).ok_or_else(|| {
                    Rejection::field("limit", format!("limit must be between 1 and {MOST}, got {limit}"))
                })?;
                Ok(Self::List { what, after: fields.text("after")?, limit })
            }
            "repeat" => Ok(Self::Repeat),
            other => Err(Rejection::field("command", format!("command must be a known one, got {}", shown(other)))),
        }
    }
}

impl Admin {
    /// Reads an administrator's order of at most `limit` bytes.
    pub fn parse(payload: &[u8], retained: bool, limit: usize) -> Result<Order<Self>, RefusedCommand> {
        let names = Self::ALL.map(Self::name);
        let unknown = || Rejection::field("command", "command must be an administrator's");
        order(payload, retained, limit, &names, |name, _| Self::named(name).ok_or_else(unknown))
    }
}

/// Reads what all orders have in common; `take` reads the rest of the order of a known name.
fn order<T>(
    payload: &[u8],
    retained: bool,
    limit: usize,
    names: &[&'static str],
    take: impl FnOnce(&str, &mut Fields) -> Result<T, Rejection>,
) -> Result<Order<T>, RefusedCommand> {
    let unread = |rejection| RefusedCommand { command: "", id: None, rejection };
    if retained {
        return Err(unread(Rejection::new(Code::RetainedRequest, "a command must not be retained")));
    }
    if payload.len() > limit {
        let message = format!("a command must be at most {limit} bytes, got {}", payload.len());
        return Err(unread(Rejection::new(Code::PayloadTooLarge, message)));
    }
    let mut fields = Fields::parse(payload).map_err(unread)?;
    let id = fields.text("id").and_then(|id| id.as_deref().map(JobId::try_from).transpose()).map_err(unread)?;
    let id = id.map(|id| id.as_str().to_owned());
    let refused = |command, rejection| RefusedCommand { command, id: id.clone(), rejection };
    let name = fields.text("command").and_then(|name| known(name, names)).map_err(|it| refused("", it))?;
    version(&mut fields).map_err(|it| refused(name, it))?;
    let what = take(name, &mut fields).map_err(|it| refused(name, it))?;
    fields.finish().map_err(|it| refused(name, it))?;
    Ok(Order { id, what })
}

/// Only words of the contract are echoed.
fn known(name: Option<String>, names: &[&'static str]) -> Result<&'static str, Rejection> {
    let name = name.ok_or_else(|| Rejection::field("command", "command is required"))?;
    names.iter().copied().find(|known| *known == name).ok_or_else(|| {
        let message = format!("command must be one of {}, got {}", names.join(", "), shown(&name));
        Rejection::field("command", message)
    })
}

fn version(fields: &mut Fields) -> Result<(), Rejection> {
    match fields.take("v") {
        Some(version) if version != 1 => Err(Rejection::of_field(Code::UnsupportedVersion, "v", "v must be 1")),
        _ => Ok(()),
    }
}

/// One job, or nothing for `*`.
fn some_job(fields: &mut Fields) -> Result<Option<JobId>, Rejection> {
    match fields.text("job")?.as_deref() {
        None => Err(Rejection::field("job", "job is required, cancel takes * for all of them")),
        Some("*") => Ok(None),
        Some(job) => {
            let named = |rejection: Rejection| Rejection { field: Some("job".to_owned()), ..rejection };
            JobId::try_from(job).map(Some).map_err(named)
        }
    }
}

fn asked(fields: &mut Fields) -> Result<Asked, Rejection> {
    let k = fields.integer("k")?;
    let k = k.map(|k| match u8::try_from(k) {
        Ok(index) if index < 16 => Ok(index),
        _ => Err(Rejection::field("k", format!("k must be between 0 and 15, got {k}"))),
    });
    match (k.transpose()?, fields.take("parts")) {
        (None, None) => Ok(Asked::All),
        (Some(k), None) => Ok(Asked::Picture(k)),
        (Some(k), Some(parts)) => Ok(Asked::Parts(k, PartRanges::parse(&parts)?)),
        (None, Some(_)) => Err(Rejection::field("k", "parts needs the k of their picture")),
    }
}

fn listing(what: Option<String>) -> Result<Listing, Rejection> {
    let what = what.ok_or_else(|| Rejection::field("what", "what is required: jobs, models or adapters"))?;
    [Listing::Jobs, Listing::Models, Listing::Adapters]
        .into_iter()
        .find(|known| known.name() == what)
        .ok_or_else(|| Rejection::field("what", format!("what must be jobs, models or adapters, got {}", shown(&what))))
}

#[cfg(test)]
mod tests;
