//! `diffused send`: asks a node for a picture over MQTT, and waits for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::generate::{numbered, say, writable, write};
use super::{CliError, log, progress};
use crate::config;
use crate::job::units::{Client, JobId};
use crate::mqtt::requester::{Answer, AskError};
use crate::mqtt::{Broker, Requester, Topics};
use crate::service::desk::fresh_id;

/// Ask a node for a picture over MQTT
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    prompt: String,
    /// The file to write; with --count above 1 each gets its number: a-0.png, a-1.png
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// The broker
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    broker: String,
    /// Allow an unencrypted connection to another machine
    #[arg(long)]
    allow_plaintext: bool,
    /// The node
    #[arg(long, value_name = "NAME")]
    node: String,
    /// The topics' first levels
    #[arg(long, default_value = "diffused")]
    base: String,
    /// Our name as a requester [default: send- and some random digits]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// User name for the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Seconds to wait for the picture
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    wishes: super::wishes::Wishes,
    /// Print the `done` status as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Sends the request until it is accepted, and writes the pictures.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    writable(&args.output)?;
    let requester = requester(args)?;
    let stop = super::run::stop_on_signals()?;
    let id = fresh_id();
    let payload = payload(args, &id)?;
    let bar = progress::Remote::new();
    let answer = requester.ask(&id, &payload, Duration::from_secs(args.timeout), &stop, |update| bar.show(update));
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
    let usage = |message: String| CliError::Usage(message);
    let (host, port) = config::address(&args.broker, args.allow_plaintext, "give --allow-plaintext").map_err(usage)?;
    let name = format!("send-{}", &fresh_id().as_str()[..8]);
    let client = args.client.clone().unwrap_or_else(|| name.clone());
    let client = Client::try_from(client.as_str())?;
    let password = args.password_file.as_deref().map(|file| {
        let text = std::fs::read_to_string(file);
        text.map_err(|error| CliError::Io(format!("{} cannot be read: {error}", file.display())))
    });
    let password = password.transpose()?.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    let broker = Broker {
        host,
        port,
        // Never the name of a node: two connections of one name throw each other off the broker.
        client_id: format!("diffused-{name}"),
        credentials: args.username.clone().map(|name| (name, password.unwrap_or_default())),
        ..Broker::for_requester()
    };
    Ok(Requester {
        broker,
        topics: Topics::new(&args.base, &args.node).map_err(|error| usage(error.to_string()))?,
        client,
    })
}

fn payload(args: &Args, id: &JobId) -> Result<String, CliError> {
    let mut fields: Map<String, Value> = args.wishes.fields(&args.prompt)?;
    fields.insert("id".to_owned(), json!(id.as_str()));
    fields.insert("output".to_owned(), Value::Object(args.wishes.output(&args.output)));
    Ok(Value::Object(fields).to_string())
}

impl From<AskError> for CliError {
    fn from(error: AskError) -> Self {
        let sentence = error.to_string();
        match error {
            AskError::Timeout { .. } | AskError::Stopped => Self::Timeout(sentence),
            AskError::Denied(_) => Self::Denied(sentence),
            AskError::Refused { state, .. } if state == "rejected" => Self::Data(sentence),
            AskError::Refused { .. } => Self::Internal(sentence),
        }
    }
}
