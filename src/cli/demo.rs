//! `diffused demo`: broker, service, model and requester in one process, to see the whole at work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::generate::writable;
use super::print::say;
use super::{CliError, bundled, log, progress, run, send};
use crate::app;
use crate::config::Config;
use crate::job::units::Client;
use crate::mqtt::{Broker, Requester, broker};
use crate::service::desk::fresh_id;

/// The node of the demo.
const NODE: &str = "demo";
/// Where the picture goes.
const PICTURE: &str = "demo.png";
const PATIENCE: Duration = Duration::from_secs(600);

/// Run broker, service and bundled model here, and ask for one picture over MQTT
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    #[arg(default_value = "a red circle on a blue background")]
    prompt: Vec<String>,
    /// Stay up afterwards, for requests from other programs
    #[arg(long)]
    keep_running: bool,
    /// Meanwhile, show state and pictures to a browser at this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", requires = "keep_running")]
    http: Option<String>,
    /// Folder of an exported model [default: the bundled one]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// ONNX Runtime's library, or a folder that holds it
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
}

/// Makes `demo.png` in the current folder.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    writable(Path::new(PICTURE))?;
    let stop = run::stop_on_signals()?;
    let listen = broker::start().map_err(|error| CliError::Internal(error.to_string()))?;
    let store = Scratch::new()?;
    let config = config(listen, &store.0, args)?;
    let file = Path::new("the demo's own configuration");
    let pipeline = app::load(&config, file)?;
    let appliance = app::start(&config, pipeline, file)?;
    let service_stop = Arc::new(AtomicBool::new(false));
    let service = {
        let stop = Arc::clone(&service_stop);
        thread::spawn(move || appliance.supervise(&stop))
    };
    let asked = ask(&config, &args.prompt.join(" "), &stop);
    if asked.is_ok() && args.keep_running {
        invite(listen, &config);
        while !stop.load(Ordering::Relaxed) && !service.is_finished() {
            thread::sleep(Duration::from_millis(100));
        }
    }
    service_stop.store(true, Ordering::Relaxed);
    let ended = service.join().map_err(|_| CliError::Internal("the service died".to_owned()))?;
    asked?;
    Ok(ended?)
}

/// The service's configuration goes through the same door as an operator's.
fn config(listen: SocketAddr, store: &Path, args: &Args) -> Result<Config, CliError> {
    let model = args.model.clone().map_or_else(bundled::model, Ok)?;
    let model = model.canonicalize().unwrap_or(model);
    let mut table = json!({
        "node": { "name": NODE },
        "mqtt": { "url": format!("mqtt://{listen}"), "max_packet": 16 * 1024 * 1024 },
        "models": {
            "dir": model.parent().unwrap_or(Path::new(".")),
            "default": model.file_name().unwrap_or_default().to_string_lossy(),
            "adapters": bundled::adapters(&model),
        },
        "store": { "dir": store },
        "engine": {},
    });
    if let Some(address) = &args.http {
        table["http"] = json!({"listen": address});
    }
    if let Some(library) = &args.library {
        table["engine"]["library"] = json!(std::path::absolute(library).unwrap_or_else(|_| library.clone()));
    }
    let text = toml::to_string(&table).map_err(|error| CliError::Internal(error.to_string()))?;
    Ok(Config::parse(&text, Path::new("demo.toml"))?)
}

/// One request, as any device would send it.
fn ask(config: &Config, prompt: &str, stop: &AtomicBool) -> Result<(), CliError> {
    let broker = Broker {
        host: config.broker.host.clone(),
        port: config.broker.port,
        client_id: "diffused-demo-requester".to_owned(),
        ..Broker::for_requester()
    };
    let requester = Requester::new(broker, config.topics.clone(), Client::try_from("visitor")?);
    let id = fresh_id();
    let request = json!({"id": id.as_str(), "prompt": prompt});
    let bar = progress::Remote::new();
    let answer = requester.ask(&id, &request.to_string(), PATIENCE, stop, |update| bar.show(update));
    drop(bar);
    let answer = answer?;
    send::save(&answer, Path::new(PICTURE))?;
    let place = std::path::absolute(PICTURE).unwrap_or_else(|_| PathBuf::from(PICTURE));
    say(&place.display())
}

/// The two lines to try next.
fn invite(listen: SocketAddr, config: &Config) {
    let (host, port) = (listen.ip(), listen.port());
    if let Some(page) = config.http {
        eprintln!("In a browser: http://{}/", page.address());
    }
    eprintln!("The service keeps running until Ctrl-C. From two other terminals:");
    eprintln!("  mosquitto_sub -V mqttv5 -h {host} -p {port} -t diffused/{NODE}/image -R -C 1 > picture.jpg");
    eprintln!(
        "  mosquitto_pub -V mqttv5 -h {host} -p {port} -t diffused/{NODE}/prompt -m \"a yellow star on a purple background\""
    );
}

/// A folder that is gone when the demo is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, CliError> {
        let folder = std::env::temp_dir().join(format!("diffused-demo-{}", fresh_id().as_str()));
        std::fs::create_dir(&folder)
            .map_err(|error| CliError::Io(format!("{} cannot be made: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
