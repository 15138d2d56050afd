//! Words near to a word: what somebody probably meant.

/// The candidate most like `word`, when one is near enough to be what was meant.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let scored = candidates
        .into_iter()
        .filter_map(|candidate| Some((mistakes(word, candidate)?, candidate)));
    scored.min().map(|(_, candidate)| candidate)
}

/// How many slips of the keyboard part two words; `None` when they are too many for a slip.
#[must_use]
pub fn mistakes(word: &str, candidate: &str) -> Option<usize> {
    let most = (candidate.len() / 3).clamp(1, 3);
    let found =
        distance(word.to_ascii_lowercase().as_bytes(), candidate.to_ascii_lowercase().as_bytes());
    (found <= most).then_some(found)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, byte) in a.iter().enumerate() {
        let above = rows.last().cloned().unwrap_or_default();
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let mut best =
                (above[j] + usize::from(byte != other)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *other && b[j - 1] == *byte {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_not_strangers() {
        let fields = ["matchLabels", "matchExpressions"];
        assert_eq!(nearest("matchlabels", fields), Some("matchLabels"));
        assert_eq!(nearest("matchLabel", fields), Some("matchLabels"));
        assert_eq!(nearest("replicas", fields), None);
        assert_eq!(nearest("wbe", ["db", "web"]), Some("web"));
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"wbe", b"web"), 1);
    }
}
