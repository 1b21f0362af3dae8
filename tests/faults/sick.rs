//! Sick disks under the whole service: nothing is acknowledged that was not written, `offline` is said, and what was
//! not acknowledged is served once the disk is well, without a hand and without being sent again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::shim::Spell;
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::listener::{Heard, Listener};
use crate::support::program::Service;

/// How soon requesters must know.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// How long each fault lasts after that, for acknowledgements that must not come.
const SICK_FOR: Duration = Duration::from_millis(1500);
/// The letter that the shim understands, and what ails the disk.
const ILLS: [(&str, &str); 5] = [
    ("F", "it is full"),
    ("R", "it is read-only"),
    ("W", "writing fails"),
    ("S", "syncing fails"),
    ("A", "everything fails, reading too"),
];

#[test]
fn a_sick_disk_takes_the_service_offline_and_costs_no_request() {
    for (letter, ill) in ILLS {
        // One that comes and goes in short turns would wait longer each time before it connects.
        let bed = Bed::new();
        let before = bed.words().len();
        let (first, second) = (format!("{letter}1"), format!("{letter}2"));
        bed.wish(letter);
        let begun = Instant::now();
        bed.ask(&first, 2);
        eventually(&format!("the service is offline when {ill}"), || {
            bed.words()[before..].contains(&"offline".to_owned())
        });
        let told = begun.elapsed();
        assert!(told < TOLD_WITHIN, "{ill}: offline was said after {told:?}");
        bed.ask(&second, 2);
        sleep(SICK_FOR);
        for id in [&first, &second] {
            assert!(bed.listener.states(id).is_empty(), "{ill}: {id} was answered: {:?}", bed.listener.states(id));
        }
        bed.wish("");
        bed.recovers(before, ill);
        for id in [&first, &second] {
            bed.listener.status(id, "done");
            assert_eq!(bed.listener.states(id), ["accepted", "started", "done"], "{ill}");
        }
        eprintln!("{ill}: offline after {told:?}");
    }
}

#[test]
fn a_disk_that_falls_sick_during_a_job_costs_no_result() {
    for (letter, ill) in ILLS {
        // One that comes and goes in short turns would wait longer each time before it connects.
        let bed = Bed::new();
        let (before, id) = (bed.words().len(), format!("{letter}3"));
        bed.ask(&id, 60);
        bed.listener.status(&id, "started");
        bed.wish(letter);
        eventually(&format!("the service is offline when {ill}"), || {
            bed.words()[before..].contains(&"offline".to_owned())
        });
        sleep(SICK_FOR);
        assert!(!bed.listener.states(&id).contains(&"done".to_owned()), "{ill}: done was said before it was written");
        bed.wish("");
        bed.recovers(before, ill);
        bed.listener.status(&id, "done");
        bed.listener.first(&format!("/{id}/image/0"));
    }
}

/// As the first test, on a real disk of 8 MB that is really full. Needs root, for the mount.
#[test]
#[ignore = "needs root"]
fn a_disk_that_is_really_full_takes_the_service_offline_and_costs_no_request() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let (store, service) = small_disk(&broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let bed =
        Bed { _folder: tempfile::tempdir().unwrap(), control: PathBuf::new(), listener, _service: service, broker };
    let before = bed.words().len();
    let filler = store.join("filler");
    fill(&filler);
    let begun = Instant::now();
    // What SQLite has reserved takes a few requests; then it is over.
    let ids: Vec<String> = (0..200).map(|number| format!("full{number}")).collect();
    let mut asked = Vec::new();
    for id in &ids {
        bed.ask(id, 1);
        asked.push(id);
        if bed.words()[before..].contains(&"offline".to_owned()) {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    assert!(bed.words()[before..].contains(&"offline".to_owned()), "the disk did not become full");
    eprintln!("offline after {:?} and {} requests", begun.elapsed(), asked.len());
    sleep(SICK_FOR);
    std::fs::remove_file(&filler).unwrap();
    bed.recovers(before, "it is really full");
    for id in asked {
        bed.listener.status(id, "done");
    }
    drop(bed);
    let unmounted = Command::new("umount").arg("-l").arg(&store).status().unwrap();
    assert!(unmounted.success());
}

/// A service on a disk that falls sick when it is told to.
struct Bed {
    _folder: TempDir,
    control: PathBuf,
    listener: Listener,
    _service: Service,
    broker: Mosquitto,
}

impl Bed {
    fn new() -> Self {
        let broker = Mosquitto::start();
        let listener = Listener::start(&broker);
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("control");
        std::fs::write(&control, "").unwrap();
        let service = Service::with(&broker, "", |command| {
            let store = store_of(command);
            Spell { root: store.to_str().unwrap(), control: Some(&control), ..Spell::default() }.cast(command);
        });
        listener.first_where("jet1/availability", |heard| heard.text() == "online");
        Self { _folder: folder, control, listener, _service: service, broker }
    }

    /// Makes the disk sick, or well again.
    fn wish(&self, letter: &str) {
        std::fs::write(&self.control, letter).unwrap();
    }

    fn ask(&self, id: &str, steps: u32) {
        let request = format!(r#"{{"id":"{id}","prompt":"a red circle on a blue background","steps":{steps}}}"#);
        self.broker.publish("diffused/jet1/request/esp32", request, &[]);
    }

    /// What was said of its availability.
    fn words(&self) -> Vec<String> {
        self.listener.on("jet1/availability").iter().map(Heard::text).collect()
    }

    fn recovers(&self, before: usize, ill: &str) {
        eventually(&format!("the service is online again after {ill}"), || {
            self.words()[before..].last().is_some_and(|word| word == "online")
        });
    }
}

/// The store's folder of a service that is about to be started.
fn store_of(command: &Command) -> PathBuf {
    let config = command.get_args().last().expect("the configuration is the last argument");
    Path::new(config).with_file_name("store")
}

/// A service whose store lies on a disk of 8 MB in memory.
fn small_disk(broker: &Mosquitto) -> (PathBuf, Service) {
    let place = std::cell::RefCell::new(PathBuf::new());
    let service = Service::with(broker, "", |command| {
        let store = store_of(command);
        std::fs::create_dir_all(&store).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(&store).status().unwrap();
        assert!(mounted.success(), "a disk can only be mounted by root");
        place.replace(store);
    });
    (place.into_inner(), service)
}

/// Writes until nothing more goes onto the disk.
fn fill(file: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(file).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
}
