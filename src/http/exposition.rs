//! Prometheus' text format, version 0.0.4: families of samples, each with its kind and what it is.

use std::fmt::{Display, Write};

use crate::service::Histogram;

/// A text that grows family by family. Writing into a text cannot fail.
#[derive(Default)]
pub(super) struct Exposition(String);

/// One family; a sample follows the other.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// What only grows, until the process starts again. Its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// What is so now.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// How often something took how long. Its name ends with `_seconds`.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }
}

impl Family<'_> {
    /// A sample without labels.
    pub(super) fn is(&mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// A sample without labels, where the value is known.
    pub(super) fn maybe(&mut self, value: Option<impl Display>) {
        if let Some(value) = value {
            self.is(value);
        }
    }

    /// A sample with one label.
    pub(super) fn of(&mut self, label: &str, is: &str, value: impl Display) -> &mut Self {
        self.sample("", &[(label, is)], value);
        self
    }

    /// A sample with several labels.
    pub(super) fn of_all(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// A histogram, with a label if it is one of several.
    pub(super) fn times(&mut self, label: Option<(&str, &str)>, times: &Histogram) {
        for (end, count) in times.up_to() {
            let end = if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
            let labels: Vec<(&str, &str)> = label.into_iter().chain([("le", end.as_str())]).collect();
            self.sample("_bucket", &labels, count);
        }
        let labels: Vec<(&str, &str)> = label.into_iter().collect();
        self.sample("_sum", &labels, times.sum().as_secs_f64());
        self.sample("_count", &labels, times.count());
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.text, "{}{suffix}{labels} {value}", self.name);
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.gauge("a_celsius", "How hot.").of("zone", "a \"b\"\\\n", 50.5).of("zone", "c", -3);
        text.counter("b_total", "How many.").is(7_u64);
        text.gauge("c", "Unknown.").maybe(None::<u64>);
        let expected = "# HELP a_celsius How hot.\n# TYPE a_celsius gauge\na_celsius{zone=\"a \\\"b\\\"\\\\\\n\"} 50.5\n\
            a_celsius{zone=\"c\"} -3\n# HELP b_total How many.\n# TYPE b_total counter\nb_total 7\n\
            # HELP c Unknown.\n# TYPE c gauge\n";
        assert_eq!(text.text(), expected);
    }

    #[test]
    fn a_histogram_ends_with_everything_and_its_sum() {
        let (mut text, mut times) = (Exposition::default(), Histogram::default());
        times.add(Duration::from_millis(200));
        text.histogram("d_seconds", "How long.").times(Some(("stage", "text")), &times);
        let text = text.text();
        assert!(text.contains("d_seconds_bucket{stage=\"text\",le=\"0.1\"} 0\n"), "{text}");
        assert!(text.contains("d_seconds_bucket{stage=\"text\",le=\"0.25\"} 1\n"), "{text}");
        let end = "d_seconds_bucket{stage=\"text\",le=\"+Inf\"} 1\nd_seconds_sum{stage=\"text\"} 0.2\nd_seconds_count{stage=\"text\"} 1\n";
        assert!(text.ends_with(end), "{text}");
    }
}
