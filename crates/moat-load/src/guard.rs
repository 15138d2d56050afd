//! The YAML parser's input, with an end to how much is read before anything comes of it.

use crate::limits::MAX_PENDING;
use saphyr_parser::input::SkipTabs;
use saphyr_parser::{Input, StrInput};
use std::cell::Cell;

/// Counts the indicators that were read since the parser gave an event.
#[derive(Debug, Default)]
pub(crate) struct Pending(Cell<u32>);

impl Pending {
    /// The parser gave an event: starts again, and says whether the limit was passed before it.
    pub(crate) fn restart(&self) -> bool {
        self.0.replace(0) > MAX_PENDING
    }
}

/// A text that ends early when too many indicators are pending.
pub(crate) struct Guarded<'t> {
    input: StrInput<'t>,
    pending: &'t Pending,
}

impl<'t> Guarded<'t> {
    pub(crate) fn new(text: &'t str, pending: &'t Pending) -> Self {
        Self { input: StrInput::new(text), pending }
    }

    /// Every token but a scalar has such a character, and no two scalars are neighbours. Those inside texts are counted too, as
    /// there is no telling here; the limit is far above what a text of a manifest has.
    fn count(&mut self) {
        if !matches!(self.input.peek(), '[' | ']' | '{' | '}' | ',' | ':' | '?' | '&' | '*' | '!') {
            return;
        }
        let n_pending = self.pending.0.get() + 1;
        self.pending.0.set(n_pending);
        if n_pending > MAX_PENDING {
            let n_buffered = self.input.buflen();
            self.input = StrInput::new("");
            self.input.lookahead(n_buffered);
        }
    }
}

/// All of [`StrInput`]'s own methods, which are faster than the trait's.
impl Input for Guarded<'_> {
    fn skip(&mut self) {
        self.count();
        self.input.skip();
    }

    fn skip_n(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    fn lookahead(&mut self, count: usize) {
        self.input.lookahead(count);
    }

    fn buflen(&self) -> usize {
        self.input.buflen()
    }

    fn bufmaxlen(&self) -> usize {
        self.input.bufmaxlen()
    }

    fn buf_is_empty(&self) -> bool {
        self.input.buf_is_empty()
    }

    fn raw_read_ch(&mut self) -> char {
        self.input.raw_read_ch()
    }

    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        self.input.raw_read_non_breakz_ch()
    }

    fn peek(&self) -> char {
        self.input.peek()
    }

    fn peek_nth(&self, n: usize) -> char {
        self.input.peek_nth(n)
    }

    fn peek_opt(&self) -> Option<char> {
        self.input.peek_opt()
    }

    fn look_ch(&mut self) -> char {
        self.input.look_ch()
    }

    fn next_char_is(&self, c: char) -> bool {
        self.input.next_char_is(c)
    }

    fn nth_char_is(&self, n: usize, c: char) -> bool {
        self.input.nth_char_is(n, c)
    }

    fn next_2_are(&self, c1: char, c2: char) -> bool {
        self.input.next_2_are(c1, c2)
    }

    fn next_3_are(&self, c1: char, c2: char, c3: char) -> bool {
        self.input.next_3_are(c1, c2, c3)
    }

    fn next_is_document_indicator(&self) -> bool {
        self.input.next_is_document_indicator()
    }

    fn next_is_document_start(&self) -> bool {
        self.input.next_is_document_start()
    }

    fn next_is_document_end(&self) -> bool {
        self.input.next_is_document_end()
    }

    fn skip_ws_to_eol(&mut self, skip_tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>) {
        self.input.skip_ws_to_eol(skip_tabs)
    }

    fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool {
        self.input.next_can_be_plain_scalar(in_flow)
    }

    fn next_is_blank_or_break(&self) -> bool {
        self.input.next_is_blank_or_break()
    }

    fn next_is_blank_or_breakz(&self) -> bool {
        self.input.next_is_blank_or_breakz()
    }

    fn next_is_blank(&self) -> bool {
        self.input.next_is_blank()
    }

    fn next_is_break(&self) -> bool {
        self.input.next_is_break()
    }

    fn next_is_breakz(&self) -> bool {
        self.input.next_is_breakz()
    }

    fn next_is_z(&self) -> bool {
        self.input.next_is_z()
    }

    fn next_is_flow(&self) -> bool {
        self.input.next_is_flow()
    }

    fn next_is_digit(&self) -> bool {
        self.input.next_is_digit()
    }

    fn next_is_alpha(&self) -> bool {
        self.input.next_is_alpha()
    }

    fn skip_while_non_breakz(&mut self) -> usize {
        self.input.skip_while_non_breakz()
    }

    fn skip_while_blank(&mut self) -> usize {
        self.input.skip_while_blank()
    }

    fn fetch_while_is_alpha(&mut self, out: &mut String) -> usize {
        self.input.fetch_while_is_alpha(out)
    }

    fn fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize {
        self.input.fetch_while_is_yaml_non_space(out)
    }
}
