//! Scores of nodes brought to the range from 0 to 100.

use super::SCORE_MAX;

/// In proportion to the largest; reversed if less is better.
pub(crate) fn by_largest(scores: &mut [i64], reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or(0).max(0);
    for score in scores {
        *score = if largest == 0 {
            if reverse { SCORE_MAX } else { *score }
        } else {
            let part = SCORE_MAX * *score / largest;
            if reverse { SCORE_MAX - part } else { part }
        };
    }
}

/// The smallest becomes 0 and the largest 100.
pub(crate) fn by_range(scores: &mut [i64]) {
    let smallest = scores.iter().copied().min().unwrap_or(0);
    let range = scores.iter().copied().max().unwrap_or(0) - smallest;
    for score in scores {
        *score = if range > 0 { fraction(*score - smallest, range) } else { 0 };
    }
}

/// The whole part of a hundredfold quotient, calculated in floating point as upstream does.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "sums of weights are small, and upstream rounds likewise"
)]
fn fraction(part: i64, whole: i64) -> i64 {
    (SCORE_MAX as f64 * (part as f64 / whole as f64)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_a_hundred() {
        let run = |mut scores: Vec<i64>, reverse| {
            by_largest(&mut scores, reverse);
            scores
        };
        assert_eq!(run(vec![1, 2, 3], false), [33, 66, 100]);
        assert_eq!(run(vec![1, 2, 3], true), [67, 34, 0]);
        assert_eq!(run(vec![0, 0], false), [0, 0]);
        assert_eq!(run(vec![0, 0], true), [100, 100]);
        let mut scores = vec![-5, 0, 5];
        by_range(&mut scores);
        assert_eq!(scores, [0, 50, 100]);
        let mut same = vec![7, 7];
        by_range(&mut same);
        assert_eq!(same, [0, 0]);
    }
}
