//! A link that must not connect, and one whose name is taken.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use diffused::mqtt::Signal;

use super::line::{Line, broker};
use crate::support::PATIENCE;
use crate::support::broker::Mosquitto;

/// A broker that lets everybody in and at once sends DISCONNECT for this reason.
fn broker_that_hangs_up(reason: u8) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
            let _ = stream.write_all(&[0xe0, 2, reason, 0]);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    port
}

/// Reasons of DISCONNECT (MQTT 5, 3.14.2.1).
const SESSION_TAKEN_OVER: u8 = 0x8e;
const SERVER_SHUTTING_DOWN: u8 = 0x8b;

#[test]
fn a_node_whose_name_is_taken_says_so_and_keeps_away() {
    let folder = tempfile::tempdir().unwrap();
    let line = |reason| {
        Line::start(broker(folder.path(), &format!("url = 'mqtt://127.0.0.1:{}'", broker_that_hangs_up(reason))))
    };
    let taken = |signal| matches!(signal, Signal::Taken).then_some(());
    let mut rival = line(SESSION_TAKEN_OVER);
    assert!(rival.up(PATIENCE).is_some());
    assert!(rival.wait(PATIENCE, taken).is_some() && rival.down(PATIENCE));
    assert!(rival.up(Duration::from_secs(4)).is_none(), "two nodes of one name fight");
    let mut other = line(SERVER_SHUTTING_DOWN);
    assert!(other.up(PATIENCE).is_some() && other.down(PATIENCE));
    assert!(other.up(PATIENCE).is_some(), "a broker that was stopped is tried again");
}

#[test]
fn a_connection_that_breaks_without_another_of_its_name_comes_back() {
    let mut mosquitto = Mosquitto::start();
    let folder = tempfile::tempdir().unwrap();
    let mut line = Line::start(broker(folder.path(), &format!("url = '{}'", mosquitto.url())));
    assert_eq!(line.up(PATIENCE).map(|up| up.1), Some(false));
    mosquitto.stop();
    assert!(line.down(PATIENCE));
    mosquitto.start_again();
    assert_eq!(line.up(PATIENCE).map(|up| up.1), Some(true), "the broker remembers the session");
}

#[test]
fn while_the_gate_is_closed_there_is_no_connection() {
    let mosquitto = Mosquitto::start();
    let folder = tempfile::tempdir().unwrap();
    let mut line = Line::start(broker(folder.path(), &format!("url = '{}'", mosquitto.url())));
    let (client, _) = line.up(PATIENCE).unwrap();
    line.gate.close();
    client.try_disconnect().unwrap();
    assert!(line.down(Duration::from_secs(5)));
    assert!(line.up(Duration::from_secs(4)).is_none());
    line.gate.open();
    assert!(line.up(PATIENCE).is_some());
}
