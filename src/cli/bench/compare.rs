//! Two ways that take turns, so that a machine whose speed changes is the same to both.

use std::ffi::OsString;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::statistics::{Ratio, Summary, rounded};
use super::{Args, CliError, child};

/// What is compared, and where the reports have it.
const COMPARED: [(&str, &str); 9] = [
    ("request_ms", "/request/median_ms"),
    ("pictures_per_hour", "/pictures_per_hour"),
    ("step_ms", "/step/median_ms"),
    ("unet_pass_ms", "/passes/unet/median_ms"),
    ("vae_decoder_pass_ms", "/passes/vae_decoder/median_ms"),
    ("load_ms", "/load_ms"),
    ("first_pass_ms", "/first_pass_ms"),
    ("peak_memory_bytes", "/peak_memory_bytes"),
    ("energy_joules", "/energy_joules"),
];

/// Measures A (these options) and B (these and those of `--against`) in turn, each in a process of its own.
pub(super) fn compare(args: &Args, own: &[OsString]) -> Result<Value, CliError> {
    let more: Vec<&str> = args.against.split_whitespace().collect();
    let mut rounds = Vec::new();
    for round in 0..args.rounds {
        // Whoever is first finds a cooler machine: they swap places every round.
        rounds.push(if round % 2 == 0 {
            let a = child(own, &[])?;
            (a, child(own, &more)?)
        } else {
            let b = child(own, &more)?;
            (child(own, &[])?, b)
        });
    }
    Ok(report(&args.against, &rounds))
}

fn report(against: &str, rounds: &[(Value, Value)]) -> Value {
    let mut compared = Map::new();
    for (name, path) in COMPARED {
        let number = |report: &Value| report.pointer(path).and_then(Value::as_f64);
        let pairs: Option<Vec<(f64, f64)>> = rounds.iter().map(|(a, b)| number(a).zip(number(b))).collect();
        compared.extend(pairs.and_then(|pairs| Some((name.to_owned(), row(&pairs)?))));
    }
    let reports: Vec<Value> = rounds.iter().map(|(a, b)| json!({"a": a, "b": b})).collect();
    json!({"b": against, "rounds": rounds.len(), "compared": compared, "reports": reports})
}

fn row(pairs: &[(f64, f64)]) -> Option<Value> {
    let median = |values: Vec<f64>| Summary::of(values).map(|summary| rounded(summary.median));
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let Ratio { medians, spread } = Ratio::of(pairs)?;
    Some(json!({"a": median(a)?, "b": median(b)?, "ratio": rounded(medians), "spread": spread.map(rounded)}))
}

/// The same for people.
pub(super) fn table(report: &Value) -> String {
    let rounds = report["rounds"].as_u64().unwrap_or(0);
    let mut lines = format!("B is A with {}; {rounds} rounds in turn\n\n", report["b"].as_str().unwrap_or(""));
    // Writing to a string cannot fail.
    let mut line = |cells: [&str; 5]| {
        let [name, a, b, ratio, spread] = cells;
        let _ = writeln!(lines, "{name:<22}{a:>16} {b:>16} {ratio:>8}   {spread}");
    };
    line(["", "A", "B", "B / A", "within a round"]);
    for (name, row) in report["compared"].as_object().into_iter().flatten() {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let [low, high] = [&row["spread"][0], &row["spread"][1]].map(number);
        let cells = [&row["a"], &row["b"], &row["ratio"]].map(number);
        let [a, b, ratio] = [format!("{:.2}", cells[0]), format!("{:.2}", cells[1]), format!("{:.3}", cells[2])];
        line([name, &a, &b, &ratio, &format!("{low:.3} to {high:.3}")]);
    }
    lines.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: f64) -> Value {
        json!({"request": {"median_ms": request}, "load_ms": 2.0 * request})
    }

    #[test]
    fn what_both_measured_is_compared_and_nothing_else() {
        let report = report(
            "--threads 1",
            &[(of(100.0), of(50.0)), (of(200.0), of(120.0)), (of(100.0), json!({"load_ms": 1.0}))],
        );
        assert_eq!(report["compared"].as_object().unwrap().keys().collect::<Vec<_>>(), ["load_ms"]);
    }

    #[test]
    fn the_ratio_is_that_of_the_medians_and_the_spread_that_within_rounds() {
        let report = report("--threads 1", &[(of(100.0), of(50.0)), (of(200.0), of(120.0)), (of(100.0), of(60.0))]);
        let row = &report["compared"]["request_ms"];
        assert_eq!(*row, json!({"a": 100.0, "b": 60.0, "ratio": 0.6, "spread": [0.5, 0.6]}));
        let table = table(&report);
        assert!(table.contains("B is A with --threads 1; 3 rounds") && table.contains("0.500 to 0.600"), "{table}");
    }
}
