//! Colour and width, decided once at the edge and passed in.

/// How text is laid out for a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Whether ANSI colours are wanted: only on terminals.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 100 }
    }
}

impl Style {
    /// Green: allowed, opened on purpose.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// Red: denied, errors.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// Yellow: undefined, warnings.
    #[must_use]
    pub fn doubt(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// Grey: places, asides.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Bold: names that matter.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
