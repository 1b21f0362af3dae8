//! `diffused send`: asks a node, or a pool of nodes, for a picture over MQTT, and waits for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::connection::Connection;
use super::generate::{numbered, writable, write};
use super::print::say;
use super::{CliError, log, progress};
use crate::job::units::{Client, JobId};
use crate::mqtt::requester::{Answer, AskError, Target, Update};
use crate::mqtt::topics::NameError;
use crate::mqtt::{Pool, Requester, Topics};
use crate::service::desk::fresh_id;

/// Ask a node, or a pool of nodes, for a picture over MQTT
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    prompt: String,
    /// The file to write; with --count above 1 each gets its number: a-0.png, a-1.png
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    whom: Whom,
    /// The topics' first levels
    #[arg(long, default_value = "diffused")]
    base: String,
    /// Our name as a requester [default: send- and some random digits]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Seconds to wait for the picture
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    wishes: super::wishes::Wishes,
    /// A JPEG file to write the picture so far to, again and again
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Print the `done` status as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Whom to ask.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The pool, any node of which may do it
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
}

/// Sends the request until it is accepted, and writes the pictures.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    writable(&args.output)?;
    args.preview.as_deref().map_or(Ok(()), writable)?;
    let requester = requester(args)?;
    let stop = super::run::stop_on_signals()?;
    let id = fresh_id();
    let payload = payload(args, &id)?;
    let bar = progress::Remote::new();
    let told = |update: &Update| match (update, &args.preview) {
        // Previews are a courtesy: one that cannot be written does not cost the picture.
        (Update::Preview { jpeg, .. }, Some(file)) => drop(replace(file, jpeg)),
        _ => bar.show(update),
    };
    let answer = requester.ask(&id, &payload, Duration::from_secs(args.timeout), &stop, told);
    drop(bar);
    let answer = answer?;
    save(&answer, &args.output)?;
    if args.json { say(&answer.done) } else { Ok(()) }
}

/// Writes the pictures of an answer.
pub(super) fn save(answer: &Answer, output: &Path) -> Result<(), CliError> {
    for (k, picture) in answer.pictures.iter().enumerate() {
        let file = if answer.pictures.len() > 1 { numbered(output, k) } else { output.to_owned() };
        write(&file, picture)?;
    }
    Ok(())
}

fn requester(args: &Args) -> Result<Requester, CliError> {
    let name = format!("send-{}", &fresh_id().as_str()[..8]);
    let client = args.client.clone().unwrap_or_else(|| name.clone());
    // Never the name of a node: two connections of one name throw each other off the broker.
    let broker = args.connection.broker(format!("diffused-{name}"))?;
    let target = target(args).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(Requester::new(broker, target, Client::try_from(client.as_str())?))
}

fn target(args: &Args) -> Result<Target, NameError> {
    match (&args.whom.node, &args.whom.pool) {
        (_, Some(pool)) => Target::pool(&args.base, Pool::try_from(pool.as_str())?),
        (node, None) => Topics::new(&args.base, node.as_deref().unwrap_or_default()).map(Target::from),
    }
}

/// Writes a file so that nobody ever sees half of it.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = file.with_file_name(name);
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(fresh, file)
}

fn payload(args: &Args, id: &JobId) -> Result<String, CliError> {
    let mut fields: Map<String, Value> = args.wishes.fields(&args.prompt)?;
    fields.insert("id".to_owned(), json!(id.as_str()));
    fields.insert("output".to_owned(), Value::Object(args.wishes.output(&args.output)));
    if args.preview.is_some() {
        fields.insert("preview".to_owned(), json!({"every": 1, "size": 256}));
    }
    Ok(Value::Object(fields).to_string())
}

impl From<AskError> for CliError {
    fn from(error: AskError) -> Self {
        let sentence = error.to_string();
        match error {
            AskError::Timeout { .. } | AskError::Stopped => Self::Timeout(sentence),
            AskError::Denied(_) => Self::Denied(sentence),
            AskError::Refused { state, .. } if state == "rejected" => Self::Data(sentence),
            AskError::TooLarge { .. } => Self::Data(sentence),
            AskError::Refused { .. } => Self::Internal(sentence),
        }
    }
}
