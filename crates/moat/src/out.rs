//! Standard output and standard error, and what terminals want.

use moat_report::Style;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How text is laid out on standard output.
pub(crate) fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Style { color: terminal && !plain, width: columns.unwrap_or(100) }
}

/// How text is laid out on standard error.
pub(crate) fn error_style() -> Style {
    Style {
        color: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        ..style()
    }
}

/// Writes a text to standard output.
pub(crate) fn print(text: &str) -> Result<(), crate::exit::Failure> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// An error on standard error, in the form of all errors.
pub(crate) fn error(message: &str, help: Option<&str>) {
    let style = error_style();
    let mut text = format!("{} {message}\n", style.bad("error:"));
    if let Some(help) = help {
        text.push_str(&format!("{} {help}\n", style.bold("help:")));
    }
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A remark on standard error.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Laid-out lines on standard error.
pub(crate) fn lines(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Says on a terminal what takes long, once it has taken a second; the line is wiped when the work is done.
pub(crate) struct Progress {
    count: Arc<AtomicUsize>,
    done: Option<mpsc::Sender<()>>,
    teller: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Self {
        Self::of(what, 0)
    }

    /// Progress towards a number of steps.
    pub(crate) fn of(what: &'static str, total: usize) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        if !std::io::stderr().is_terminal() {
            return Self { count, done: None, teller: None };
        }
        let at = count.clone();
        let (done, wait) = mpsc::channel();
        let teller = std::thread::spawn(move || {
            let start = Instant::now();
            let mut told = false;
            while wait.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                told = true;
                let steps = match total {
                    0 => String::new(),
                    total => format!(" {} of {total}", at.load(Ordering::Relaxed)),
                };
                let seconds = start.elapsed().as_secs();
                let _ = write!(std::io::stderr(), "\r{what}{steps} … {seconds} s\u{1b}[K");
            }
            if told {
                let _ = write!(std::io::stderr(), "\r\u{1b}[K");
            }
        });
        Self { count, done: Some(done), teller: Some(teller) }
    }

    /// So many steps are done.
    pub(crate) fn at(&self, steps: usize) {
        self.count.store(steps, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(teller) = self.teller.take() {
            // The line must be gone before anything else is written.
            let _ = teller.join();
        }
    }
}
