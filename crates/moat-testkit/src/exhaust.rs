//! Every combination of choices, in order: a generator written with [`Choices`] is run once for each.

/// A sequence of choices that counts through all its values, like an odometer whose wheels are found while it runs.
#[derive(Clone, Default, Debug)]
pub struct Choices {
    started: bool,
    at: usize,
    /// Value and last value of each choice.
    wheels: Vec<(usize, usize)>,
}

impl Choices {
    /// Before the first combination.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes to the next combination; false after the last.
    pub fn advance(&mut self) -> bool {
        self.at = 0;
        if !self.started {
            self.started = true;
            return true;
        }
        while let Some((value, last)) = self.wheels.pop() {
            if value < last {
                self.wheels.push((value + 1, last));
                return true;
            }
        }
        false
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        if self.at == self.wheels.len() {
            self.wheels.push((0, bound - 1));
        }
        self.at += 1;
        self.wheels[self.at - 1].0
    }

    /// One of the items.
    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// Everything a generator can make.
pub fn all<T>(mut make: impl FnMut(&mut Choices) -> T) -> Vec<T> {
    let mut choices = Choices::new();
    let mut out = Vec::new();
    while choices.advance() {
        out.push(make(&mut choices));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_through_dependent_choices() {
        let made = all(|choices| {
            let n = choices.below(3);
            (0..n).map(|_| choices.below(2)).collect::<Vec<_>>()
        });
        assert_eq!(
            made,
            [vec![], vec![0], vec![1], vec![0, 0], vec![0, 1], vec![1, 0], vec![1, 1]]
        );
    }
}
