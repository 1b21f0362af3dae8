//! Electric power, where the board measures it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::board::Board;

/// How often the rails are read.
const EVERY: Duration = Duration::from_millis(100);

/// Does `work`, and says what the board drew meanwhile, on average in watts.
pub(super) fn during<T>(board: &Board, work: impl FnOnce() -> T) -> (T, Option<f64>) {
    if board.rails().is_empty() {
        return (work(), None);
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let meter = scope.spawn(|| {
            let mut read = Vec::new();
            // At least once, also if the work is over before this thread begins.
            loop {
                read.extend(board.watts());
                if over.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(EVERY);
            }
            (!read.is_empty()).then(|| read.iter().sum::<f64>() / read.len() as f64)
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        (done, meter.join().ok().flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_mean_is_over_the_work_and_without_rails_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(during(&Board::at(root.path()), || 7), (7, None));
        let chip = root.path().join("sys/class/hwmon/hwmon0");
        fs::create_dir_all(&chip).unwrap();
        for (file, text) in
            [("name", "ina3221"), ("in1_label", "VDD_IN"), ("in1_input", "5000"), ("curr1_input", "3000")]
        {
            fs::write(chip.join(file), text).unwrap();
        }
        assert_eq!(during(&Board::at(root.path()), || 7), (7, Some(15.0)));
    }
}
