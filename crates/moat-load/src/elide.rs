//! Shortening what input can make long, before it goes into a finding: the middle goes, since both ends say where it is.

/// Stands for what was left out.
const GAP: &str = " … ";
/// Characters of a shortened text that come from its start.
const HEAD: usize = 48;
/// Characters of a shortened text that come from its end.
const TAIL: usize = 28;
/// Characters of a text that is not shortened.
const MAX: usize = HEAD + TAIL + 3;

/// A text such as a key, cut between characters.
pub(crate) fn text(text: &str) -> String {
    if text.chars().nth(MAX).is_none() {
        return text.to_owned();
    }
    let head = text.char_indices().nth(HEAD).map_or(text, |(at, _)| &text[..at]);
    let tail = text.char_indices().nth_back(TAIL - 1).map_or(text, |(at, _)| &text[at..]);
    format!("{head}{GAP}{tail}")
}

/// A field path from its steps, such as `spec`, `.ports` and `[0]`, cut between steps.
pub(crate) fn path(steps: &[String]) -> String {
    let widths: Vec<usize> = steps.iter().map(|step| step.chars().count()).collect();
    if widths.iter().sum::<usize>() <= MAX {
        return steps.concat();
    }
    let n_fit = |widths: &mut dyn Iterator<Item = &usize>, room: usize| {
        let ends = widths.scan(0, |end, width| {
            *end += width;
            Some(*end)
        });
        ends.take_while(|end| *end <= room).count()
    };
    let n_head = n_fit(&mut widths.iter(), HEAD);
    let n_tail = n_fit(&mut widths.iter().rev(), TAIL);
    if n_head == 0 || n_tail == 0 {
        return text(&steps.concat());
    }
    let (head, tail) = (steps[..n_head].concat(), steps[steps.len() - n_tail..].concat());
    format!("{head}{GAP}{}", tail.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_stay() {
        assert_eq!(text("app"), "app");
        assert_eq!(text(&"é".repeat(MAX)), "é".repeat(MAX));
        assert_eq!(path(&["spec".into(), ".ports".into(), "[0]".into()]), "spec.ports[0]");
        assert_eq!(path(&[]), "");
    }

    #[test]
    fn long_ones_lose_their_middle() {
        let shown = text(&format!("a{}z", "é".repeat(1000)));
        assert_eq!(shown.chars().count(), MAX);
        assert!(shown.starts_with("aé") && shown.contains("é … é") && shown.ends_with("éz"));

        let nested: Vec<String> =
            ["x".to_owned()].into_iter().chain(vec!["[0]".to_owned(); 127]).collect();
        assert_eq!(path(&nested), format!("x{} … {}", "[0]".repeat(15), "[0]".repeat(9)));
        let keys: Vec<String> =
            ["a".to_owned()].into_iter().chain(vec![".a".to_owned(); 127]).collect();
        assert_eq!(path(&keys), format!("a{} … {}", ".a".repeat(23), &".a".repeat(14)[1..]));
        let one = ["a".to_owned(), format!(".{}", "b".repeat(200)), "[7]".to_owned()];
        assert_eq!(path(&one), "a … [7]");
        assert_eq!(path(&["b".repeat(200)]).chars().count(), MAX);
    }
}
