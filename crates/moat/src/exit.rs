//! Exit codes, documented in `--help` and the README, and the one place that chooses them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// Yes, clean, no difference.
    Yes,
    /// No, findings, differences.
    No,
}

/// Why a command could not answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The question or the input is bad: exit code 2.
    Input {
        /// What is wrong.
        message: String,
        /// How to mend it.
        help: Option<String>,
    },
    /// The input is bad, and this text, laid out already, says how: exit code 2.
    Told(String),
    /// The environment forbids it: exit code 3.
    Environment(String),
    /// The reader of our output went away; nothing more to say.
    Closed,
}

impl Failure {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::Input { message: message.into(), help: None }
    }

    pub(crate) fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Input { message: message.into(), help: Some(help.into()) }
    }
}

impl From<moat_analyze::query::QueryError> for Failure {
    fn from(error: moat_analyze::query::QueryError) -> Self {
        Self::Input { message: error.message, help: error.help }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Environment(error.to_string())
        }
    }
}

pub(crate) type Outcome = Result<Ended, Failure>;

/// The process's exit code; failures are told on standard error.
pub(crate) fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Ended::Yes) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Ok(Ended::No) => ExitCode::from(1),
        Err(Failure::Input { message, help }) => {
            crate::out::error(&message, help.as_deref());
            ExitCode::from(2)
        }
        Err(Failure::Told(text)) => {
            crate::out::lines(&text);
            ExitCode::from(2)
        }
        Err(Failure::Environment(message)) => {
            crate::out::error(&message, None);
            ExitCode::from(3)
        }
    }
}
