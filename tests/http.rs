//! Health, metrics and the page, asked with nothing but a socket.

mod client;
mod exposition;
mod figures;
mod manners;
mod watching;

use std::time::Duration;

use serde_json::json;

use self::client::{Answer, free_port, get};
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;
use crate::support::orin::Orin;

const REQUEST: &str = "diffused/jet1/request/esp32";

/// A node whose pages are served, with its broker, and who hears it.
struct Station {
    broker: Mosquitto,
    listener: Listener,
    node: Node,
    port: u16,
}

impl Station {
    fn new(painter: Painter, lines: &str) -> Self {
        Self::on(&Orin::new(), painter, lines)
    }

    fn on(orin: &Orin, painter: Painter, lines: &str) -> Self {
        let (broker, port) = (Mosquitto::start(), free_port());
        let listener = Listener::start(&broker);
        let lines = format!("[http]\nlisten = '127.0.0.1:{port}'\n{lines}");
        let node = Node::on_board(orin.root(), &broker, painter, &lines);
        listener.first_where("jet1/availability", |heard| heard.text() == "online");
        Self { broker, listener, node, port }
    }

    fn get(&self, path: &str) -> Answer {
        get(self.port, path)
    }

    fn ask(&self, id: &str, prompt: &str) {
        self.broker.publish(REQUEST, json!({"id": id, "prompt": prompt, "seed": 7}).to_string(), &[]);
    }

    /// Has a picture made, and waits until it is there.
    fn picture(&self, id: &str, prompt: &str) {
        self.ask(id, prompt);
        self.listener.status(id, "done");
    }

    fn order(&self, order: &str) {
        self.broker.publish("diffused/jet1/admin/ops", json!({"id": order, "command": order}).to_string(), &[]);
        self.listener.first(&format!("/{order}/answer"));
    }

    /// Waits until these and no others keep a request from being taken.
    fn becomes(&self, reasons: &[&str]) {
        eventually(&format!("the node is {reasons:?}"), || self.get("/readyz").reasons() == reasons);
        let answer = self.get("/readyz");
        assert_eq!((answer.status == 200, answer.json()["ready"] == true), (reasons.is_empty(), reasons.is_empty()));
    }
}

#[test]
fn a_node_is_ready_while_a_request_would_be_taken_and_says_why_it_is_not() {
    let orin = Orin::new();
    let mut node = Station::on(&orin, Painter::holding(), "[limits]\nqueue = 1");
    node.becomes(&[]);
    node.ask("a1", "x");
    node.listener.status("a1", "started");
    node.becomes(&["queue_full"]);
    node.node.painter.let_go();
    node.listener.status("a1", "done");
    node.becomes(&[]);
    node.order("pause");
    node.becomes(&["paused"]);
    node.order("drain");
    node.becomes(&["draining"]);
    orin.heat(105.0);
    node.becomes(&["draining", "too_hot"]);
    orin.heat(50.0);
    node.order("resume");
    node.becomes(&[]);
    node.broker.stop();
    node.becomes(&["broker_unreachable"]);
    node.broker.start_again();
    node.becomes(&[]);
    assert_eq!(node.get("/livez").json(), json!({"live": true, "reasons": []}));
}

#[test]
fn the_page_shows_the_newest_pictures_and_no_prompt_unless_the_operator_allows_that() {
    let node = Station::new(Painter::default(), "");
    node.picture("hidden-id", "a secret cat");
    eventually("the page has the picture", || node.get("/").text().contains("<img"));
    let page = node.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = page.text();
    assert!(page.contains("64×64 png, <span>seed 7") && page.contains("<h1>jet1</h1>"), "{page}");
    assert!(!page.contains("secret") && !page.contains("esp32") && !page.contains("hidden-id"), "{page}");
    let path = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let picture = node.get(path);
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/png")));
    assert_eq!(picture.body, node.listener.first("hidden-id/image/0").payload);
    for elsewhere in ["/picture/99/0", "/picture/1/9", "/picture/1", "/picture/1/0/0", "/picture/-1/0", "/picture/x/0"]
    {
        assert_eq!(node.get(elsewhere).status, 404, "{elsewhere}");
    }
    let open = Station::new(Painter::default(), "[log]\nprompts = true");
    open.picture("a1", "a <b>bold</b> cat");
    eventually("the prompt is there", || open.get("/").text().contains("<q>a &lt;b&gt;bold&lt;/b&gt; cat</q>"));
}

#[test]
fn the_page_shows_a_bounded_number_of_pictures_the_newest_first() {
    let node = Station::new(Painter::default(), "");
    for n in 0..4 {
        let request = json!({"id": format!("a{n}"), "prompt": "x", "seed": n * 10, "count": 4});
        node.broker.publish(REQUEST, request.to_string(), &[]);
        node.listener.status(&format!("a{n}"), "done");
    }
    eventually("the newest is there", || node.get("/").text().contains("seed 33"));
    let page = node.get("/").text();
    assert_eq!(page.matches("<figure>").count(), 12);
    assert!(page.contains("seed 10<") && !page.contains("seed 3<"), "{page}");
    assert!(page.find("seed 30<") < page.find("seed 20<"));
}

#[test]
fn what_is_at_work_is_shown_with_its_progress() {
    let node = Station::new(Painter { pace: Duration::from_millis(300), ..Painter::default() }, "");
    node.ask("a1", "x");
    eventually("its steps are told", || node.get("/").text().contains("step 2 of 4"));
    node.listener.status("a1", "done");
    eventually("it is over", || !node.get("/").text().contains("At work"));
}
