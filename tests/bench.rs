//! `diffused bench` as a person runs it: what it reports, and whether its sums are sums.
//!
//! Nothing here asks for a speed: the machine that runs tests is busy.

use std::error::Error;
use std::time::Instant;

use serde_json::Value;

use crate::support::program::{complaint, run};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the verb reports of the bundled model, and how many milliseconds it ran.
fn bench(more: &[&str]) -> Result<(Value, f64)> {
    let begun = Instant::now();
    let output = run(&[&["bench", "--json"], more].concat());
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    assert!(output.status.success(), "{}", complaint(&output));
    Ok((serde_json::from_slice(&output.stdout)?, elapsed))
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} must be a number in {report}"))
}

/// Equal but for rounding to thousandths.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.01
}

#[test]
fn a_report_has_every_stage_and_its_parts_add_up() -> Result<()> {
    let (report, elapsed) = bench(&["--runs", "2", "--steps", "3", "--sampler", "euler", "--size", "64x128"])?;
    let n = |path: &str| number(&report, path);
    assert_eq!((n("/width"), n("/height"), n("/steps"), n("/runs")), (64.0, 128.0, 3.0, 2.0));
    assert_eq!((&report["model"], &report["sampler"]), (&Value::from("shapes"), &Value::from("euler")));
    let counts =
        ["/request", "/step", "/passes/unet", "/passes/text_encoder", "/passes/vae_decoder", "/stages/publish"];
    assert_eq!(counts.map(|path| n(&format!("{path}/count"))), [2.0, 6.0, 6.0, 2.0, 2.0, 2.0], "{report}");
    assert!(same(n("/time/graph_ms") + n("/time/other_ms"), n("/time/request_ms")), "{report}");
    assert!(same(n("/time/graph_percent") + n("/time/other_percent"), 100.0), "{report}");
    assert!(n("/time/graph_percent") > 0.0 && n("/time/other_percent") > 0.0, "{report}");
    // Of two runs the median is the mean, so that these sums must hold too.
    let passes = n("/passes/text_encoder/median_ms") + n("/passes/vae_decoder/median_ms");
    assert!(passes < n("/time/graph_ms"), "{report}");
    let stages = ["text", "denoise", "decode", "publish"].map(|stage| n(&format!("/stages/{stage}/median_ms")));
    let graphs = ["text", "denoise", "decode", "publish"].map(|stage| n(&format!("/stages/{stage}/graph_median_ms")));
    assert!(stages.iter().sum::<f64>() <= n("/request/median_ms") + 0.01, "{report}");
    assert!(same(graphs.iter().sum(), n("/time/graph_ms")), "{report}");
    assert!(stages.iter().zip(graphs).all(|(whole, graphs)| graphs <= *whole) && same(graphs[3], 0.0), "{report}");
    assert!(n("/load_ms") < n("/first_pass_ms") && n("/first_pass_ms") < elapsed, "{report}");
    // One after another: the whole is no shorter than its parts, and there is little between them.
    let busy = n("/pictures_per_hour") * n("/time/request_ms") / 3.6e6;
    assert!(busy > 0.5 && busy < 1.01, "{report}");
    assert!(n("/peak_memory_bytes") > 3e7, "{report}");
    assert!(same(n("/load/cold_ms"), n("/load_ms")) && report["load"].get("warm_ms").is_none(), "{report}");
    Ok(())
}

#[test]
fn requests_at_the_same_time_take_longer_each_and_are_all_counted() -> Result<()> {
    let (report, _) = bench(&["--runs", "5", "--warm-up", "0", "--steps", "4", "--jobs", "3", "--sampler", "euler"])?;
    let n = |path: &str| number(&report, path);
    let counts = ["/jobs", "/request/count", "/step/count", "/passes/unet/count", "/passes/vae_decoder/count"].map(n);
    assert_eq!(counts, [3.0, 5.0, 20.0, 20.0, 5.0], "{report}");
    assert!(n("/passes/unet/requests") > 1.0 && n("/passes/unet/requests") <= 3.0, "{report}");
    assert!(n("/pictures_per_hour") * n("/time/request_ms") / 3.6e6 > 1.01, "{report}");
    Ok(())
}

#[test]
fn an_empty_cache_is_filled_first_and_both_loads_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("graphs");
    let options = ["--runs", "1", "--warm-up", "0", "--steps", "1", "--cache", cache.to_str().unwrap()];
    let (report, _) = bench(&options)?;
    assert!(number(&report, "/load/cold_ms") > 0.0 && number(&report, "/load/warm_ms") > 0.0);
    assert!(same(number(&report, "/load/warm_ms"), number(&report, "/load_ms")));
    let (again, _) = bench(&options)?;
    assert!(again["load"].get("cold_ms").is_none() && again["load"].get("warm_ms").is_some(), "{again}");
    Ok(())
}

#[test]
fn two_ways_take_turns_and_the_one_with_more_steps_takes_longer() -> Result<()> {
    let options = ["--runs", "1", "--warm-up", "0", "--steps", "1", "--rounds", "2", "--against", "--steps 12"];
    let (report, _) = bench(&options)?;
    assert_eq!(report["reports"].as_array().map(Vec::len), Some(2));
    assert!(
        report["reports"].as_array().unwrap().iter().all(|pair| pair["a"]["steps"] == 1 && pair["b"]["steps"] == 12)
    );
    let row = &report["compared"]["request_ms"];
    let n = |path: &str| number(row, path);
    assert!(n("/ratio") > 1.0 && n("/spread/0") <= n("/spread/1"), "{row}");
    assert!(report["compared"]["peak_memory_bytes"].is_object());
    Ok(())
}

#[test]
fn people_get_a_table_and_mistakes_get_their_code() {
    let output = run(&["bench", "--runs", "1", "--warm-up", "0", "--steps", "1"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "shapes at 64x64, 1 steps",
        "median ms",
        "pass of unet",
        "load, cold",
        "everything else, a step",
        "peak memory",
    ] {
        assert!(table.contains(line), "{line} is not in {table}");
    }
    assert_eq!(run(&["bench", "--size", "64"]).status.code(), Some(64));
    assert_eq!(run(&["bench", "--size", "64x64", "--width", "64"]).status.code(), Some(64));
    assert_eq!(run(&["bench", "--sampler", "magic"]).status.code(), Some(64));
    assert_eq!(run(&["bench", "--model", "nowhere"]).status.code(), Some(65));
}
