//! Where a map or a list ends, sixty-four bytes at a time: what a list of ten thousand objects does most is to pass over what it does not need.
//!
//! Each block becomes four words with a bit for each byte: quotes, backslashes, what opens, what closes. Which brackets are inside texts is then
//! arithmetic (the method is simdjson's), so that nothing has to be guessed for each of the many short texts of an object.

use wide::u8x16;

/// Bytes of a block: as many as a word has bits.
const BLOCK: usize = 64;
/// Bits of even places.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// The place after the map or list that begins at one.
pub(super) fn end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_u32);
    let (mut in_text, mut escapes) = (0_u64, 0_u64);
    loop {
        let rest = bytes.get(at..)?;
        let marks = match rest.first_chunk::<BLOCK>() {
            Some(block) => Marks::of(block),
            None if rest.is_empty() => return None,
            None => {
                let mut block = [0; BLOCK];
                block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                Marks::of(&block)
            }
        };
        let quotes = marks.quotes & !escaped(marks.backslashes, &mut escapes);
        let text = from_odd_to_even(quotes) ^ in_text;
        // All ones where the block ends inside a text.
        in_text = 0_u64.wrapping_sub(text >> 63);
        let (opens, closes) = (marks.opens & !text, marks.closes & !text);
        let n_closes = closes.count_ones();
        if n_closes < depth {
            // It cannot end here.
            depth += opens.count_ones();
            depth -= n_closes;
        } else {
            let mut both = opens | closes;
            while both != 0 {
                let first = both & both.wrapping_neg();
                if opens & first != 0 {
                    depth += 1;
                } else {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at + first.trailing_zeros() as usize + 1);
                    }
                }
                both ^= first;
            }
        }
        at += BLOCK;
    }
}

/// The places that a backslash before them takes their meaning from. A run of backslashes does so to each other; `carry` is whether one before
/// the block does to its first place.
fn escaped(backslashes: u64, carry: &mut u64) -> u64 {
    if backslashes == 0 {
        return std::mem::take(carry);
    }
    let backslashes = backslashes & !*carry;
    let follows = backslashes << 1 | *carry;
    let odd_starts = backslashes & !EVEN & !follows;
    let (even_runs, over) = odd_starts.overflowing_add(backslashes);
    *carry = u64::from(over);
    (EVEN ^ even_runs << 1) & follows
}

/// Ones from each odd quote to before the next even one.
fn from_odd_to_even(quotes: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(quotes, |bits, by| bits ^ bits << by)
}

/// Where which bytes are in a block, the first in the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    opens: u64,
    closes: u64,
}

/// What makes a capital letter small makes a square bracket a curly one.
const SMALL: u8 = 0x20;

impl Marks {
    fn of(block: &[u8; BLOCK]) -> Self {
        let (small, mut marks) = (u8x16::splat(SMALL), Self::default());
        for (n, part) in block.chunks_exact(u8x16::LANES as usize).enumerate() {
            let bytes = u8x16::from(part);
            let bit = |same: u8x16| u64::from(same.to_bitmask()) << (16 * n);
            marks.quotes |= bit(bytes.simd_eq(u8x16::splat(b'"')));
            marks.backslashes |= bit(bytes.simd_eq(u8x16::splat(b'\\')));
            let bytes = bytes | small;
            marks.opens |= bit(bytes.simd_eq(u8x16::splat(b'{')));
            marks.closes |= bit(bytes.simd_eq(u8x16::splat(b'}')));
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, a byte after the other.
    fn naive(bytes: &[u8], start: usize) -> Option<usize> {
        let (mut depth, mut in_text, mut escapes) = (0_u32, false, false);
        for (at, byte) in bytes.iter().enumerate().skip(start) {
            let is_escaped = std::mem::take(&mut escapes);
            match byte {
                b'\\' => escapes = !is_escaped,
                b'"' => in_text ^= !is_escaped,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Much of what decides, in runs that cross blocks, and letters that differ from it in one bit.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let runs = prop::sample::select(vec![
            "{",
            "[",
            "}",
            "]",
            "\"",
            "\\",
            "\\\"",
            "a",
            ":",
            "\u{1b}",
            "\u{5c}\u{5c}",
            "Z",
            ";",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "\\\\\\\\\\\\\\\\\\\\\\\\\\",
            "é",
        ]);
        prop::collection::vec((runs, 1_usize..4), 0..120).prop_map(|runs| {
            let texts: String = runs.into_iter().map(|(text, n)| text.repeat(n)).collect();
            texts.into_bytes()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_ends_where_it_ends_a_byte_after_the_other(bytes in bytes(), depth in 1_usize..4, start in 0_usize..70) {
            let all = [vec![b' '; start], vec![b'{'; depth], bytes].concat();
            prop_assert_eq!(end(&all, start), naive(&all, start));
        }
    }

    #[test]
    fn marks_are_where_their_bytes_are() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b' '; BLOCK];
                block[at] = byte;
                let bit = |of: &[u8]| if of.contains(&byte) { 1 << at } else { 0 };
                let want = Marks {
                    quotes: bit(b"\""),
                    backslashes: bit(b"\\"),
                    opens: bit(b"{["),
                    closes: bit(b"}]"),
                };
                assert_eq!(Marks::of(&block), want, "{byte} at {at}");
            }
        }
    }
}
