//! Reads Prometheus' text format, and finds what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

/// A family: its kind, and its samples by name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    pub kind: String,
    pub samples: BTreeMap<(String, Labels), f64>,
}

pub type Labels = BTreeMap<String, String>;

/// What a unit is called at the end of a name. Prometheus wants base units.
const NOT_BASE: [&str; 9] =
    ["_ms", "_millis", "_milliseconds", "_minutes", "_kb", "_mb", "_kilobytes", "_megabytes", "_percent"];

/// The families of a text, by name.
pub fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let fault = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| fault("no help"))?;
            if help.is_empty() || !helped.insert(name.to_owned()) {
                return Err(fault("help is missing or comes twice"));
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| fault("no type"))?;
            let family = Family { kind: kind.to_owned(), ..Family::default() };
            if !helped.contains(name) || families.insert(name.to_owned(), family).is_some() {
                return Err(fault("a type without help, or for the second time"));
            }
        } else {
            let (name, labels, value) = sample(line).ok_or_else(|| fault("no sample"))?;
            let family = families.iter_mut().find(|(family, of)| belongs(&name, family, &of.kind));
            let (_, family) = family.ok_or_else(|| fault("a sample of no family"))?;
            if family.samples.insert((name, labels), value).is_some() {
                return Err(fault("a sample for the second time"));
            }
        }
    }
    Ok(families)
}

/// What is wrong with names, kinds and histograms.
pub fn faults(families: &BTreeMap<String, Family>) -> Vec<String> {
    families.iter().flat_map(|(name, family)| faults_of(name, family)).collect()
}

fn faults_of(name: &str, family: &Family) -> Vec<String> {
    let mut faults = Vec::new();
    let is_counter = family.kind == "counter";
    if is_counter != name.ends_with("_total") {
        faults.push(format!("{name}: only counters, and all of them, end with _total"));
    }
    if !["counter", "gauge", "histogram"].contains(&family.kind.as_str()) {
        faults.push(format!("{name}: {} is no kind", family.kind));
    }
    if !name.starts_with("diffused_") && name != "process_resident_memory_bytes" {
        faults.push(format!("{name}: does not begin with diffused_"));
    }
    let bare = name.trim_end_matches("_total");
    if NOT_BASE.iter().any(|unit| bare.ends_with(unit)) {
        faults.push(format!("{name}: is not in a base unit"));
    }
    if family.kind == "histogram" {
        faults.extend(histogram(name, family));
    }
    if is_counter && family.samples.values().any(|value| *value < 0.0) {
        faults.push(format!("{name}: is negative"));
    }
    faults
}

/// Buckets grow, and the last one has everything.
fn histogram(name: &str, family: &Family) -> Vec<String> {
    let mut rows: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((sample, labels), value) in &family.samples {
        let mut labels = labels.clone();
        if *sample == format!("{name}_bucket") {
            let end = labels.remove("le").unwrap_or_default().replace("+Inf", "inf");
            rows.entry(labels).or_default().push((end.parse().unwrap_or(f64::NAN), *value));
        }
    }
    let is_sound = |(labels, row): (Labels, Vec<(f64, f64)>)| {
        let mut row = row;
        row.sort_by(|a, b| a.0.total_cmp(&b.0));
        let grows = row.windows(2).all(|pair| pair[0].1 <= pair[1].1);
        let count = family.samples.get(&(format!("{name}_count"), labels.clone()));
        let has_sum = family.samples.contains_key(&(format!("{name}_sum"), labels));
        let last = row.last().copied();
        grows && has_sum && last.is_some_and(|(end, value)| end == f64::INFINITY && Some(&value) == count)
    };
    let sound = rows.into_iter().all(is_sound);
    if sound { Vec::new() } else { vec![format!("{name}: is no histogram")] }
}

fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    match sample.strip_prefix(family) {
        Some("") => kind != "histogram",
        Some(rest) => kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&rest),
        None => false,
    }
}

/// `name{label="value"} number`. Labels here have no escapes, which the unit tests of the writer look at.
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else { return Some((series.to_owned(), Labels::new(), value)) };
    let labels = labels.strip_suffix('}')?.split(',').map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.to_owned(), value.strip_suffix('"')?.to_owned()))
    });
    Some((name.to_owned(), labels.collect::<Option<_>>()?, value))
}

#[test]
fn a_text_that_prometheus_would_not_take_is_found() {
    let of = |lines: &str| parse(&format!("# HELP a_total How many.\n# TYPE a_total counter\n{lines}"));
    assert!(of("a_total 1\na_total{code=\"b\"} 2").is_ok());
    for planted in ["a_total 1\na_total 2", "b 1", "a_total", "a_total{code=b} 1", "# TYPE c gauge", "# HELP a_total x"]
    {
        assert!(of(planted).is_err(), "{planted}");
    }
}

#[test]
fn names_and_histograms_that_are_wrong_are_found() {
    let of = |name: &str, kind: &str, lines: &str| {
        faults(&parse(&format!("# HELP {name} x\n# TYPE {name} {kind}\n{lines}")).unwrap())
    };
    assert_eq!(of("diffused_a_total", "counter", "diffused_a_total 1"), [""; 0]);
    for (name, kind, lines) in [
        ("diffused_a", "counter", ""),
        ("diffused_a_total", "gauge", ""),
        ("other_a", "gauge", ""),
        ("diffused_wait_ms", "gauge", ""),
        ("diffused_wait_ms_total", "counter", ""),
        ("diffused_a", "summary", ""),
        ("diffused_a_total", "counter", "diffused_a_total -1"),
        ("diffused_a", "histogram", "diffused_a_bucket{le=\"+Inf\"} 2\ndiffused_a_sum 1\ndiffused_a_count 1"),
        ("diffused_a", "histogram", "diffused_a_bucket{le=\"+Inf\"} 1\ndiffused_a_count 1"),
        ("diffused_a", "histogram", "diffused_a_bucket{le=\"1\"} 1\ndiffused_a_sum 1\ndiffused_a_count 1"),
    ] {
        assert_eq!(of(name, kind, lines).len(), 1, "{name} {kind} {lines}");
    }
}
