//! Nodes that load, hang, or find their port taken: seen over HTTP and from the command line.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diffused::app::{AppError, Appliance, rules};
use diffused::board::Board;
use diffused::config::Config;
use serde_json::json;

use super::client::{SHORT, free_port, get, say};
use super::{REQUEST, Station};
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::node::{Node, facts};
use crate::support::program::{Service, complaint, run};

fn config(broker: &str, store: &Path, port: u16) -> Config {
    let text = format!(
        "[node]\nname = 'jet1'\n[mqtt]\nurl = '{broker}'\n[store]\ndir = '{}'\n[http]\nlisten = '127.0.0.1:{port}'",
        store.display()
    );
    Config::parse(&text, Path::new("test.toml")).unwrap()
}

#[test]
fn a_node_that_loads_is_alive_and_not_ready_and_one_whose_work_hangs_is_not_alive() {
    let (broker, store, port) = (Mosquitto::start(), tempfile::tempdir().unwrap(), free_port());
    let config = config(&broker.url(), store.path(), port);
    let mut appliance = Appliance::connect_on(Board::at(store.path()), &config).unwrap();
    eventually("the broker is reached", || get(port, "/readyz").reasons() == ["loading"]);
    assert_eq!((get(port, "/readyz").status, get(port, "/livez").status, get(port, "/").status), (503, 200, 200));
    let rules = rules(&config, vec![facts()], Path::new("test.toml")).unwrap();
    let painter = Arc::new(Painter::holding());
    appliance.begin(&config, rules, Arc::clone(&painter) as _, Box::new(|| None)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let thread = std::thread::spawn(move || appliance.patient(SHORT).supervise(&flag));
    eventually("it is ready", || get(port, "/readyz").status == 200);
    broker.publish(REQUEST, json!({"id": "a1", "prompt": "x"}).to_string(), &[]);
    eventually("the work hangs", || get(port, "/livez").status == 503);
    assert_eq!(get(port, "/livez").json(), json!({"live": false, "reasons": ["work_stalled"]}));
    painter.let_go();
    eventually("the work goes on", || get(port, "/livez").status == 200);
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_a_clear_word() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let store = tempfile::tempdir().unwrap();
    let refused = Appliance::connect_on(Board::at(store.path()), &config("mqtt://127.0.0.1:1", store.path(), port));
    assert!(matches!(refused, Err(AppError::Serve(_))));
    let broker = Mosquitto::start();
    let mut service = Service::with(&broker, &format!("[http]\nlisten = '127.0.0.1:{port}'"), |_| {});
    assert_eq!(service.wait(), Some(69));
    let log = service.log();
    assert!(
        log.contains(&format!("http.listen: 127.0.0.1:{port} cannot be listened on: Address already in use")),
        "{log}"
    );
}

#[test]
fn an_address_that_others_reach_needs_a_word_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diffused.toml");
    std::fs::write(&file, "[http]\nlisten = '0.0.0.0:9464'").unwrap();
    let output = run(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(complaint(&output).contains("to allow that add allow_remote = true to [http]"), "{}", complaint(&output));
}

#[test]
fn a_node_that_stops_lets_go_of_its_port_and_its_store_though_somebody_still_hangs_on() {
    let node = Station::new(Painter::default(), "");
    let (port, silent) = (node.port, say(node.port, b"GET / HTTP/1.1\r\n"));
    let Station { broker, node, .. } = node;
    let store = node.stop();
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    drop(Node::with(&broker, Painter::default(), "", store));
    drop(silent);
}
