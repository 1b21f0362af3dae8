//! The configuration file: TOML becomes a [`Config`], or every fault is reported together, each with its path.

mod broker;
mod engine;
mod home_assistant;
mod reader;
mod sections;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

pub use self::broker::Address;
pub use self::engine::Engine;
use self::reader::Reader;

use crate::http::Listen;
use crate::job::Limits;
use crate::mqtt::{Broker, HomeAssistant, Pool, ReplyPrefixes, Topics};
use crate::service::{Rate, Thermal};

/// What a packet needs beside its payload, generously.
const PACKET_HEAD: usize = 1024;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// The node's topics.
    pub topics: Topics,
    /// Whether the `prompt` topic is open.
    pub shortcut: bool,
    /// The broker and who we are to it.
    pub broker: Broker,
    /// What the `image` topic carries, as a request's `output`.
    pub image: Map<String, Value>,
    /// Whether the broker keeps the newest picture of the `prompt` topic.
    pub retain_image: bool,
    /// The models.
    pub models: Models,
    /// How graphs are run.
    pub engine: Engine,
    /// What no request may exceed.
    pub limits: Limits,
    /// Jobs that the queue holds.
    pub queue: u64,
    /// Open jobs that one client may have.
    pub per_client: u64,
    /// How often one client may ask; without an end if absent.
    pub rate: Option<Rate>,
    /// The pools that the node works for.
    pub pools: Vec<Pool>,
    /// Where answers may go besides the usual topics.
    pub reply_prefixes: ReplyPrefixes,
    /// How the node shows itself to Home Assistant, if it does.
    pub home_assistant: Option<HomeAssistant>,
    /// How long a job may run.
    pub job_time: Duration,
    /// Values of fields that a request leaves out.
    pub defaults: Map<String, Value>,
    /// Where jobs and results are kept.
    pub store: PathBuf,
    /// How long finished jobs are remembered.
    pub keep: Duration,
    /// Bytes that the store may have.
    pub store_bytes: Option<u64>,
    /// Where health, metrics and the page are served, if they are.
    pub http: Option<Listen>,
    /// How hot the board may become.
    pub thermal: Thermal,
    /// The log.
    pub log: Log,
}

/// Where models are.
#[derive(Clone, Debug)]
pub struct Models {
    /// The folder of model folders.
    pub dir: PathBuf,
    /// The model of requests that name none; the only one there if absent.
    pub default: Option<String>,
    /// The folder of adapters; it need not be there.
    pub adapters: PathBuf,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How it is written.
    pub format: LogFormat,
    /// Whether prompts may be written into it.
    pub prompts: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// With fields into systemd's journal where standard error leads there, else as text.
    Journald,
    /// Lines for people.
    Text,
    /// Lines of JSON.
    Json,
}

/// One fault, with its path in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Such as `mqtt.keep_alive`.
    pub path: String,
    /// What was expected and what came.
    pub message: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where the configuration came from.
    pub file: PathBuf,
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.file.display();
        let lines: Vec<String> = self.faults.iter().map(|fault| format!("{place}: {fault}")).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => formatter.write_str(&self.message),
            path => write!(formatter, "{path}: {}", self.message),
        }
    }
}

impl Config {
    /// Reads a file; relative paths in it are relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error: std::io::Error| {
            let fault = Fault { path: String::new(), message: format!("the file cannot be read: {error}") };
            ConfigError { file: file.to_owned(), faults: vec![fault] }
        };
        Self::parse(&std::fs::read_to_string(file).map_err(unreadable)?, file)
    }

    /// Reads the text of a file.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut reader = Reader::new(text, folder);
        let (node, topics, shortcut) = sections::node(&mut reader);
        let (broker, reply_prefixes) = broker::broker(&mut reader, &node);
        let (image, retain_image) = sections::image(&mut reader);
        let models = sections::models(&mut reader);
        let engine = engine::engine(&mut reader);
        let (limits, sections::Crowd { queue, per_client, rate, job_time }) = sections::limits(&mut reader);
        let pools = sections::pools(&mut reader);
        let defaults = sections::defaults(&mut reader);
        let (store, keep, store_bytes) = sections::store(&mut reader);
        let http = sections::http(&mut reader);
        let thermal = sections::thermal(&mut reader);
        let home_assistant = home_assistant::home_assistant(&mut reader, topics.as_ref());
        let log = sections::log(&mut reader);
        let mut faults = reader.finish();
        if limits.request_bytes + PACKET_HEAD > broker.max_packet as usize {
            // The broker would drop such requests without a word.
            let message =
                format!("must leave room for {PACKET_HEAD} bytes within mqtt.max_packet = {}", broker.max_packet);
            faults.push(Fault { path: "limits.request_bytes".to_owned(), message });
        }
        match topics {
            Some(topics) if faults.is_empty() => Ok(Self {
                node,
                topics,
                shortcut,
                broker,
                image,
                retain_image,
                models,
                engine,
                limits,
                queue,
                per_client,
                rate,
                pools,
                reply_prefixes,
                home_assistant,
                job_time,
                defaults,
                store,
                keep,
                store_bytes,
                http,
                thermal,
                log,
            }),
            _ => Err(ConfigError { file: file.to_owned(), faults }),
        }
    }
}

#[cfg(test)]
mod tests;
