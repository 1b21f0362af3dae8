//! Requests that are wrong, slow, too many, or meant for somebody else.

use std::time::{Duration, Instant};

use super::Station;
use super::client::{ask, get, hear, say};
use crate::support::eventually;
use crate::support::fake::Painter;

/// More than are served at a time.
const CROWD: usize = 40;

#[test]
fn every_answer_keeps_its_content_to_itself() {
    let node = Station::new(Painter::default(), "");
    for path in ["/", "/livez", "/readyz", "/metrics", "/nowhere"] {
        let answer = node.get(path);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(policy.contains("script-src 'sha256-"), path == "/");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    }
}

#[test]
fn a_website_that_lets_its_own_name_lead_here_reads_nothing() {
    let node = Station::new(Painter::default(), "");
    let host = |host: &str| ask(node.port, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for own in ["localhost", "127.0.0.1:9464", "[::1]:9464"] {
        assert_eq!(host(own).status, 200, "{own}");
    }
    for foreign in ["evil.example", "evil.example:9464", "localhost.evil.example", "192.168.1.7", ""] {
        let answer = host(foreign);
        assert_eq!(answer.status, 421, "{foreign}");
        assert!(!answer.text().contains("jet1"), "{}", answer.text());
    }
}

#[test]
fn only_get_and_head_without_a_body_are_answered() {
    let node = Station::new(Painter::default(), "");
    let request = |line: &str, more: &str| ask(node.port, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let refused = request("POST /readyz", "Content-Length: 0\r\n");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        assert_eq!(request(&format!("{method} /"), "").status, 405, "{method}");
    }
    assert_eq!(request("GET /readyz", "Content-Length: 5\r\n").status, 400);
    assert_eq!(request("GET /nowhere", "").status, 404);
    assert_eq!(request("GET /../etc/passwd", "").status, 404);
    let head = request("HEAD /livez", "");
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert_eq!((head.status, head.body.len(), length > 0), (200, 0, true));
    assert_eq!(request("GET /livez?verbose", "").status, 200);
    assert_eq!(ask(node.port, "GET /livez HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(ask(node.port, "\u{16}\u{3}\u{1}\u{0}tls\r\n\r\n").status, 400);
    assert_eq!(request("GET /", &format!("A: {}\r\n", "b".repeat(9000))).status, 431);
}

#[test]
fn who_does_not_finish_a_request_is_hung_up_on() {
    let node = Station::new(Painter::default(), "");
    let begun = Instant::now();
    let slow = hear(say(node.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n")).unwrap();
    assert_eq!(slow.status, 408);
    assert!(begun.elapsed() >= Duration::from_secs(4) && begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_crowd_that_says_nothing_disturbs_neither_the_work_nor_for_long_the_pages() {
    let node = Station::new(Painter::default(), "");
    let crowd: Vec<_> = (0..CROWD).map(|_| say(node.port, b"")).collect();
    node.picture("a1", "x");
    let hung_up = crowd.into_iter().filter_map(|one| hear(one).is_none().then_some(())).count();
    assert!((1..CROWD).contains(&hung_up), "{hung_up} of {CROWD} were hung up on without a word");
    eventually("the pages are there again", || get(node.port, "/livez").status == 200);
}
