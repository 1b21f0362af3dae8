//! What a client may ask besides pictures.

use super::fields::Fields;
use super::outcome::{Code, Rejection};
use super::units::{JobId, shown};

/// A valid command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End one job of this client, or all of them if `job` is absent.
    Cancel {
        /// Names the command.
        id: Option<String>,
        /// The job.
        job: Option<JobId>,
    },
}

/// Why a message is no command, with what its answer needs.
#[derive(Debug, PartialEq)]
pub struct RefusedCommand {
    /// The command's word, as far as it could be read.
    pub command: String,
    /// The command's id.
    pub id: Option<String>,
    /// What is wrong.
    pub rejection: Rejection,
}

/// Commands of the contract that this version does not know yet.
const LATER: [&str; 3] = ["get", "list", "repeat"];

impl Command {
    /// Reads a command of at most `limit` bytes.
    pub fn parse(payload: &[u8], retained: bool, limit: usize) -> Result<Self, RefusedCommand> {
        let unread = |rejection| RefusedCommand { command: String::new(), id: None, rejection };
        if retained {
            return Err(unread(Rejection::new(Code::RetainedRequest, "a command must not be retained")));
        }
        if payload.len() > limit {
            let message = format!("a command must be at most {limit} bytes, got {}", payload.len());
            return Err(unread(Rejection::new(Code::PayloadTooLarge, message)));
        }
        let mut fields = Fields::parse(payload).map_err(unread)?;
        let id = match fields.text("id").and_then(|id| id.as_deref().map(JobId::try_from).transpose()) {
            Ok(id) => id.map(|id| id.as_str().to_owned()),
            Err(rejection) => return Err(unread(rejection)),
        };
        let command = match fields.text("command") {
            Ok(Some(command)) => command,
            Ok(None) => {
                return Err(RefusedCommand { id, ..unread(Rejection::field("command", "command is required")) });
            }
            Err(rejection) => return Err(RefusedCommand { id, ..unread(rejection) }),
        };
        Self::take(&command, id.clone(), fields).map_err(|rejection| RefusedCommand {
            command: known(&command),
            id,
            rejection,
        })
    }

    fn take(command: &str, id: Option<String>, mut fields: Fields) -> Result<Self, Rejection> {
        if LATER.contains(&command) {
            let message = format!("command {command} is not supported by this version");
            return Err(Rejection::of_field(Code::UnsupportedMode, "command", message));
        }
        if command != "cancel" {
            return Err(Rejection::field("command", format!("command must be cancel, got {}", shown(command))));
        }
        let job = match fields.text("job")?.as_deref() {
            None => return Err(Rejection::field("job", "job is required, * stands for all of them")),
            Some("*") => None,
            Some(job) => Some(JobId::try_from(job)?),
        };
        fields.finish()?;
        Ok(Self::Cancel { id, job })
    }
}

/// Only words of the contract are echoed.
fn known(command: &str) -> String {
    let known = command == "cancel" || LATER.contains(&command);
    if known { command.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_or_all_jobs_can_be_cancelled() {
        let one = Command::parse(br#"{"id":"c1","command":"cancel","job":"a1"}"#, false, 100);
        assert_eq!(one, Ok(Command::Cancel { id: Some("c1".into()), job: JobId::try_from("a1").ok() }));
        let all = Command::parse(br#"{"command":"cancel","job":"*"}"#, false, 100);
        assert_eq!(all, Ok(Command::Cancel { id: None, job: None }));
    }

    #[test]
    fn what_is_no_command_says_why() {
        let code = |payload: &[u8]| Command::parse(payload, false, 100).unwrap_err().rejection.code;
        assert_eq!(code(b"cancel"), Code::Malformed);
        assert_eq!(code(br#"{"command":"list","what":"jobs"}"#), Code::UnsupportedMode);
        assert_eq!(code(br#"{"command":"cancel"}"#), Code::InvalidField);
        assert_eq!(code(br#"{"command":"dance"}"#), Code::InvalidField);
        assert_eq!(code(&[b' '; 101]), Code::PayloadTooLarge);
    }
}
