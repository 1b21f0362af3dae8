//! Boards that become hot, slow or throttled, each a made-up sysfs tree below the service in this process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos::node::Node as Process;
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;
use crate::support::orin::Orin;

const REQUEST: &str = "diffused/jet1/request/esp32";

/// Longer than the board is left alone between two looks.
const A_LOOK: Duration = Duration::from_millis(2500);

/// A service on a made-up board, and who asks and hears it.
struct Bench {
    broker: Mosquitto,
    listener: Listener,
    node: Node,
}

impl Bench {
    fn new(orin: &Orin, painter: Painter, lines: &str) -> Self {
        let broker = Mosquitto::start();
        let listener = Listener::start(&broker);
        let node = Node::on_board(orin.root(), &broker, painter, lines);
        listener.first_where("jet1/availability", |heard| heard.text() == "online");
        Self { broker, listener, node }
    }

    fn ask(&self, id: &str) {
        self.broker.publish(REQUEST, json!({"id": id, "prompt": "x"}).to_string(), &[]);
    }

    /// Asks, and waits until the job is in that state.
    fn asked(&self, id: &str, state: &str) -> Value {
        self.ask(id);
        self.listener.status(id, state)
    }

    /// Waits for a `state` of which this is true.
    fn state(&self, fits: impl Fn(&Value) -> bool) -> Value {
        self.listener.first_where("jet1/state", |heard| fits(&heard.json())).json()
    }

    fn newest_state(&self) -> Value {
        self.listener.on("jet1/state").last().unwrap().json()
    }
}

#[test]
fn a_board_that_gets_too_hot_stops_taking_work_and_loses_none() {
    let orin = Orin::new();
    orin.heat(60.0);
    let bench = Bench::new(&orin, Painter::holding(), "");
    bench.asked("runs", "started");
    bench.asked("waits", "accepted");
    assert_eq!(bench.newest_state()["accepting"], json!(true));

    orin.heat(105.0);
    let hot = bench.state(|state| state["alerts"] == json!(["too_hot"]));
    assert_eq!((&hot["lifecycle"], &hot["accepting"]), (&json!("degraded"), &json!(false)));
    assert_eq!(hot["health"]["temp_c"], json!(105.0));
    let refused = bench.asked("refused", "rejected");
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("too_hot"), &json!(true)));
    assert!(refused["retry_after_ms"].as_u64().unwrap() >= 1000, "{refused}");

    // What runs goes on; what waits does not begin, neither now nor when it is only a little cooler.
    bench.node.painter.let_go();
    bench.listener.status("runs", "done");
    orin.heat(90.0);
    std::thread::sleep(A_LOOK);
    assert_eq!(bench.listener.states("waits"), ["accepted"]);
    assert_eq!(bench.asked("refused-too", "rejected")["code"], json!("too_hot"));

    orin.heat(60.0);
    bench.listener.status("waits", "done");
    bench.asked("refused", "done");
    let cool = bench.state(|state| state["alerts"] == json!([]) && state["health"]["jobs_done"] == json!(3));
    assert_eq!(cool["health"]["jobs_failed"], json!(0));
}

#[test]
fn a_board_that_is_too_hot_from_the_start_begins_nothing() {
    let orin = Orin::new();
    orin.heat(96.0);
    let bench = Bench::new(&orin, Painter::default(), "");
    assert_eq!(bench.asked("a1", "rejected")["code"], json!("too_hot"));
    assert_eq!(bench.node.painter.begun(), 0);
}

/// The control: the same heat where nobody says that it is too much.
#[test]
fn without_trip_points_and_settings_no_heat_stops_the_work() {
    let orin = Orin::without_trips();
    orin.heat(105.0);
    let bench = Bench::new(&orin, Painter::default(), "");
    bench.asked("a1", "done");
    let state = bench.newest_state();
    assert_eq!((&state["alerts"], &state["health"]["temp_c"]), (&json!([]), &json!(105.0)));
}

#[test]
fn an_operators_own_temperatures_stop_a_board_that_tells_no_trip_points() {
    let orin = Orin::without_trips();
    orin.heat(65.0);
    let bench = Bench::new(&orin, Painter::default(), "[thermal]\npause = 70\nresume = 55");
    bench.asked("a1", "done");
    orin.heat(71.0);
    bench.state(|state| state["alerts"] == json!(["too_hot"]));
    orin.heat(65.0);
    std::thread::sleep(A_LOOK);
    assert_eq!(bench.asked("a2", "rejected")["code"], json!("too_hot"));
    orin.heat(54.0);
    bench.state(|state| state["health"]["temp_c"] == json!(54.0));
    bench.asked("a2", "done");
}

#[test]
fn where_it_is_hot_a_job_rests_between_its_steps() {
    let orin = Orin::new();
    orin.heat(90.0);
    let step = Duration::from_millis(100);
    let bench = Bench::new(&orin, Painter { pace: step, ..Painter::default() }, "");
    let done = bench.asked("a1", "done");
    // Four steps and the three rests between them; without rests it would be four steps and what a busy machine adds.
    assert!(done["run_ms"].as_u64().unwrap() >= 700, "{done}");
    assert_eq!(bench.newest_state()["alerts"], json!([]), "slower is no fault");
}

#[test]
fn a_job_that_rests_can_be_cancelled_at_once() {
    let orin = Orin::new();
    orin.heat(90.0);
    let bench = Bench::new(&orin, Painter { pace: Duration::from_secs(5), ..Painter::default() }, "");
    bench.ask("a1");
    // The second step is told before the rest.
    bench.listener.first_where("/a1/progress", |heard| heard.json()["step"] == json!(1));
    let asked = Instant::now();
    bench.broker.publish("diffused/jet1/command/esp32", r#"{"id":"c1","command":"cancel","job":"a1"}"#, &[]);
    bench.listener.status("a1", "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(4), "a rest of five seconds took {:?} more", asked.elapsed());
}

#[test]
fn a_job_has_more_time_on_a_slower_clock() {
    let orin = Orin::new();
    orin.gpu(1000, 306_000_000);
    let runs_five_seconds = Painter { pace: Duration::from_millis(1250), ..Painter::default() };
    let bench = Bench::new(&orin, runs_five_seconds, "[limits]\njob_time = '3s'");
    bench.asked("slow", "done");
    // The control: at full speed the same job has its three seconds and no more.
    orin.gpu(1000, 1_224_000_000);
    std::thread::sleep(A_LOOK);
    bench.asked("fast", "expired");
}

#[test]
fn health_is_what_the_board_tells_and_nothing_that_it_does_not() {
    let orin = Orin::new();
    let bench = Bench::new(&orin, Painter::default(), "");
    let health = bench.newest_state()["health"].clone();
    assert_eq!((&health["temp_c"], &health["power_w"]), (&json!(50.0), &json!(6.4)));
    assert_eq!(health["mem_available_mb"], json!(2310));
    assert!(health["disk_free_mb"].as_u64().unwrap() > 0);
    let device = |bench: &Bench| bench.listener.first("jet1/info").json().get("device").cloned();
    assert_eq!(device(&bench), Some(json!("NVIDIA Jetson Orin Nano Developer Kit")));
    drop(bench);
    ["sys", "proc"].into_iter().for_each(|folder| orin.remove(folder));
    let bench = Bench::new(&orin, Painter::default(), "");
    assert_eq!(device(&bench), None);
    let state = bench.newest_state();
    let keys: Vec<&String> = state["health"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["disk_free_mb", "jobs_done", "jobs_failed"]);
}

#[test]
fn hardware_that_slows_itself_down_is_an_alert_and_stops_nothing() {
    let orin = Orin::new();
    orin.events(2, 5);
    let bench = Bench::new(&orin, Painter::default(), "");
    std::thread::sleep(A_LOOK);
    assert_eq!(bench.newest_state()["alerts"], json!([]), "what was counted before is over");
    orin.events(2, 6);
    let throttled = bench.state(|state| state["alerts"] == json!(["throttled"]));
    assert_eq!(throttled["accepting"], json!(true));
    bench.asked("a1", "done");
}

/// What a service says of a job of two seconds and a half on this board.
fn log_of_a_job(orin: &Orin) -> String {
    let (broker, folder) = (Mosquitto::start(), tempfile::tempdir().unwrap());
    let listener = Listener::start(&broker);
    let board = orin.root().to_str().unwrap();
    let lines = "[log]\nlevel = 'info'\n";
    let mut node = Process::new(folder.path(), broker.port, lines, &["--pass", "2500", "--board", board]);
    node.spawn();
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "done");
    eventually("the log tells of the job", || node.log().contains("job done"));
    node.log().lines().find(|line| line.contains("job done")).unwrap().to_owned()
}

#[test]
fn the_log_tells_the_energy_of_a_job_where_power_is_measured() {
    let orin = Orin::new();
    orin.rail("sys/class/hwmon/hwmon1", 1, "VDD_IN", 5000, 3000);
    let line = log_of_a_job(&orin);
    let number = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key)?.parse::<f64>().ok());
    let known = number("ms=").zip(number("joules="));
    let (ms, joules) = known.unwrap_or_else(|| panic!("{line}"));
    assert!((joules - 15.0 * ms / 1000.0).abs() < 0.1, "{line}");
    orin.remove("sys/class/hwmon");
    assert!(!log_of_a_job(&orin).contains("joules"));
}
