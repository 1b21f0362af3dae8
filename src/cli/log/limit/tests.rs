use std::io;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{fmt, registry};

use super::*;

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of a log that is limited by this.
fn lines(limit: Option<Limit>, work: impl FnOnce()) -> Vec<String> {
    let written = Written::default();
    let sink = written.clone();
    let layer = fmt::layer().with_ansi(false).with_writer(move || sink.clone());
    tracing::subscriber::with_default(registry().with(limit).with(layer), work);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn count(lines: &[String], word: &str) -> usize {
    lines.iter().filter(|line| line.contains(word)).count()
}

fn flood() {
    for number in 0..1000 {
        tracing::info!(number, "request refused");
        if number % 100 == 0 {
            tracing::info!("something else");
        }
    }
}

#[test]
fn of_a_flood_a_hundred_lines_are_written_and_one_that_counts_the_others() {
    let limit = Limit::default();
    let written = lines(Some(limit.clone()), || {
        flood();
        limit.tell();
        limit.tell();
    });
    assert_eq!((count(&written, "request refused number="), count(&written, "something else")), (100, 10));
    assert_eq!(written.len(), 111, "one line counts the others, once");
    let told = written.last().unwrap();
    assert!(told.contains("left_out=900") && told.contains(r#"like="request refused""#), "{told}");
    // Without the limit, all of it.
    assert_eq!(lines(None, flood).len(), 1010);
}

#[test]
fn the_line_of_a_job_is_never_left_out() {
    let limit = Limit::default();
    let jobs = || (0..500).for_each(|job| tracing::info!(target: "diffused::job", job, "job done"));
    assert_eq!(lines(Some(limit), jobs).len(), 500);
}

#[test]
fn after_ten_seconds_a_kind_is_written_again_and_what_was_left_out_is_still_told() {
    let mut now = Instant::now();
    let mut kind = Kind::new(now);
    let mut taken = |by: Duration, times: u32| {
        now += by;
        (0..times).filter(|_| kind.takes(now, String::new)).count()
    };
    assert_eq!(taken(Duration::ZERO, 150), 100);
    assert_eq!(taken(PERIOD - Duration::from_millis(1), 10), 0);
    assert_eq!(taken(Duration::from_millis(1), 150), 100);
    assert_eq!(kind.left_out().map(|(left_out, _)| left_out), Some(110));
    assert!(kind.left_out().is_none());
}
