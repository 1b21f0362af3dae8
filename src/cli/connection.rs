//! The flags that say how to reach the broker.

use std::path::{Path, PathBuf};

use super::CliError;
use crate::config::Address;
use crate::mqtt::{Broker, TlsFault, TlsFiles, TlsPart};

/// How to reach the broker.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct Connection {
    /// The broker: mqtts://, wss://, or mqtt:// and ws:// on this machine
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    broker: String,
    /// Allow an unencrypted connection to another machine
    #[arg(long)]
    allow_plaintext: bool,
    /// User name for the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities to trust [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Our certificate (PEM), where the broker wants one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Connection {
    /// The broker, to which we are a requester of this name.
    pub(super) fn broker(&self, client_id: String) -> Result<Broker, CliError> {
        let address = Address::parse(&self.broker, self.allow_plaintext, "give --allow-plaintext");
        let address = address.map_err(|message| CliError::Usage(format!("--broker {message}")))?;
        let files = TlsFiles {
            ca: self.ca_file.clone(),
            certificate: self.cert.clone(),
            key: self.key.clone(),
            server_name: None,
        };
        let password = self.password_file.as_deref().map(password).transpose()?;
        Ok(Broker {
            transport: address.transport(&files).map_err(unfit)?,
            host: address.host,
            port: address.port,
            client_id,
            credentials: self.username.clone().map(|name| (name, password.unwrap_or_default())),
            ..Broker::for_requester()
        })
    }
}

fn password(file: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::Io(format!("{} cannot be read: {error}", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unfit(faults: Vec<TlsFault>) -> CliError {
    let lines = faults.iter().map(|TlsFault { part, message }| {
        let flag = match part {
            TlsPart::Ca => "--ca-file",
            TlsPart::Certificate => "--cert",
            TlsPart::Key => "--key",
            TlsPart::ServerName => "--broker",
        };
        format!("{flag}: {message}")
    });
    CliError::Usage(lines.collect::<Vec<_>>().join("\n"))
}
