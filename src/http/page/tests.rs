//! What stands on the page, and what can never stand on it.

use std::time::{Duration, SystemTime};

use super::*;
use crate::job::{Progress, Stage};
use crate::service::store::{JobKey, PictureFacts};
use crate::service::{Activity, Alert, Phase};

fn snapshot(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let activity = Activity::new(1, 16, "sd15");
    activity.change(|now| (now.phase, now.online) = (Phase::Working, true));
    activity.change(change);
    activity.snapshot()
}

fn picture(format: &str, prompt: Option<&str>) -> Recent {
    let (format, sha256) = (format.to_owned(), String::new());
    let facts = PictureFacts { k: 1, format, width: 512, height: 384, bytes: 9, sha256, seed: 4711, part_bytes: 0 };
    let finished = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    Recent { job: JobKey(7), facts, finished, prompt: prompt.map(str::to_owned) }
}

fn html(now: &Snapshot, recent: &[Recent]) -> String {
    Page { node: "jet1", device: Some("A <board>"), now, recent }.html()
}

#[test]
fn a_person_reads_what_goes_on_in_words() {
    let busy = snapshot(|now| {
        now.progress = Some(Progress { stage: Stage::Denoise, step: 7, steps: 20, k: 0 });
        (now.queue, now.last) = (3, Some(Duration::from_millis(4200)));
        now.vitals.zones = [("gpu-thermal".to_owned(), 61.4)].into();
        now.alert(Alert::Throttled, true);
    });
    let page = html(&busy, &[picture("png", None)]);
    for told in [
        "<title>jet1: ready</title>",
        "Denoising, step 7 of 20",
        "<progress max=\"20\" value=\"7\">",
        "<dt>Queue</dt><dd>3 of 16</dd>",
        "<dt>Last job took</dt><dd>4.2 s</dd>",
        "<dt>gpu-thermal</dt><dd>61 °C</dd>",
        "<li>The hardware slows itself down",
        "src=\"/picture/7/1\" width=\"512\" height=\"384\"",
        "512×384 png, <span>seed 4711",
        "2026-01-02 03:04 UTC",
        "A &lt;board&gt;",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(!page.contains("<q>"), "no prompt was given");
    assert!(html(&snapshot(|now| now.online = false), &[]).contains("The broker cannot be reached"));
    assert!(html(&snapshot(|now| now.queue = 16), &[]).contains("The queue is full"));
}

#[test]
fn a_text_from_outside_is_never_a_tag() {
    let evil = "\"><script>alert('x')</script><img src=x onerror=y>&amp;";
    let mut now = snapshot(|now| now.model = evil.to_owned());
    now.vitals.zones = [(evil.to_owned(), 50.0)].into();
    let page = Page { node: evil, device: Some(evil), now: &now, recent: &[picture(evil, Some(evil))] }.html();
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(!page.contains("<img src=x") && !page.contains("alert('x')"), "{page}");
    let quoted = html(&now, &[picture("png", Some(evil))]);
    assert!(quoted.contains("alt=\"&quot;&gt;&lt;script&gt;"), "{quoted}");
}

#[test]
fn what_a_browser_cannot_show_is_named_instead() {
    let page = html(&snapshot(|_| ()), &[picture("epd_7c", None), picture("qoi", None)]);
    assert!(
        page.contains("epd_7c for a panel") && page.contains("qoi for a panel") && !page.contains("<img"),
        "{page}"
    );
}

#[test]
fn the_policy_names_the_style_and_the_script_that_stand_there() {
    let page = html(&snapshot(|_| ()), &[]);
    let between = |from: &str, to: &str| page.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let digest = |text: String| STANDARD.encode(Sha256::digest(text));
    let sources = Inline::new().sources();
    assert!(sources.contains(&format!("style-src 'sha256-{}'", digest(between("<style>", "</style>")))));
    assert!(sources.contains(&format!("script-src 'sha256-{}'", digest(between("<script>", "</script>")))));
    assert!(!page.contains("style=\"") && !page.contains("onclick"), "neither would be taken");
}
