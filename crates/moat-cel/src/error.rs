//! What is wrong with an expression, and why a run has no value.

/// Bytes of a line that is shown.
const LINE_MAX: usize = 500;

/// An error at a place of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The character at which it is.
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The error with its line and a mark under the place, as cel-go shows it.
    pub(crate) fn show(&self, source: &str) -> String {
        let (mut line, mut column, mut text) = (1, self.at, "");
        for one in source.split('\n') {
            text = one;
            let length = one.chars().count();
            if column <= length {
                break;
            }
            column -= length + 1;
            line += 1;
        }
        // Long lines would make answers of any length.
        if LINE_MAX < text.len() {
            return format!("ERROR: <input>:{line}:{}: {}", column + 1, self.message);
        }
        let dots = ".".repeat(column);
        format!("ERROR: <input>:{line}:{}: {}\n | {text}\n | {dots}^", column + 1, self.message)
    }
}

/// Why a run has no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The budget is spent.
    Cost,
    /// An operator or a function got types at run time that it does not take.
    Overload,
    /// Anything else, in words.
    Error(String),
}

impl Stop {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self::Error(why.into())
    }

    pub(crate) fn no_key(key: &str) -> Self {
        Self::Error(format!("no such key: {key}"))
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cost => f.write_str("operation cancelled: actual cost limit exceeded"),
            Self::Overload => f.write_str("no such overload"),
            Self::Error(why) => f.write_str(why),
        }
    }
}
