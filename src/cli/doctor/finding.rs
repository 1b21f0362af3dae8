//! What the doctor says: a line about one thing, and how to mend it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for ever.
    Warn,
    /// It does not work.
    Fail,
}

/// A line about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is about, such as `memory`.
    pub(super) about: &'static str,
    pub(super) level: Level,
    /// What was found.
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, level: Level::Ok, what: what.into(), fix: None }
    }

    pub(super) fn warn(about: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about, level: Level::Warn, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn fail(about: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about, level: Level::Fail, what: what.into(), fix: Some(fix.into()) }
    }
}

/// For people: a line each, what to do about it below.
pub(super) fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.about.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let level = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let line = format!("{level}  {:<width$}  {}", finding.about, finding.what.replace('\n', "; "));
        let fix = finding.fix.as_ref().map(|fix| format!("\n      {:<width$}  -> {fix}", ""));
        line + &fix.unwrap_or_default()
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
