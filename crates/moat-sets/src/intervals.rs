//! Sets of points of a linear order, kept as sorted, disjoint, non-adjacent closed intervals.

/// A discrete, bounded linear order.
pub trait Point: Copy + Ord + core::fmt::Debug {
    /// The least point.
    const MIN: Self;
    /// The greatest point.
    const MAX: Self;
    /// The next point, if any.
    fn succ(self) -> Option<Self>;
    /// The previous point, if any.
    fn pred(self) -> Option<Self>;
}

macro_rules! point {
    ($($int:ty),*) => {$(
        impl Point for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;
            fn succ(self) -> Option<Self> { self.checked_add(1) }
            fn pred(self) -> Option<Self> { self.checked_sub(1) }
        }
    )*};
}
point!(u8, u16, u32, u128);

/// A set of points. Two sets are equal exactly when they contain the same points.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Intervals<T>(Vec<(T, T)>);

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Point> Intervals<T> {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// Every point.
    #[must_use]
    pub fn full() -> Self {
        Self(vec![(T::MIN, T::MAX)])
    }

    /// All points from `low` to `high`, both included; empty when `low > high`.
    #[must_use]
    pub fn range(low: T, high: T) -> Self {
        if low <= high { Self(vec![(low, high)]) } else { Self::empty() }
    }

    /// Builds a set from closed intervals in any order, overlapping or not.
    #[must_use]
    pub fn from_ranges(mut ranges: Vec<(T, T)>) -> Self {
        ranges.retain(|(low, high)| low <= high);
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                // Touching intervals are one interval, so that equality of sets is equality of values.
                Some(last) if last.1.succ().is_none_or(|next| low <= next) => {
                    last.1 = last.1.max(high);
                }
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// The intervals, sorted, disjoint and not adjacent.
    #[must_use]
    pub fn ranges(&self) -> &[(T, T)] {
        &self.0
    }

    /// Whether there is no point in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every point is in the set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.as_slice() == [(T::MIN, T::MAX)]
    }

    /// Whether `point` is in the set.
    #[must_use]
    pub fn contains(&self, point: T) -> bool {
        let after = self.0.partition_point(|&(low, _)| low <= point);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, high)| point <= high)
    }

    /// Points in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_full() {
            return other.clone();
        }
        if other.is_empty() || self.is_full() {
            return self.clone();
        }
        Self::from_ranges(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Points in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Vec::new();
        while let (Some(&&(low_a, high_a)), Some(&&(low_b, high_b))) = (left.peek(), right.peek()) {
            let (low, high) = (low_a.max(low_b), high_a.min(high_b));
            if low <= high {
                out.push((low, high));
            }
            if high_a < high_b {
                left.next();
            } else {
                right.next();
            }
        }
        Self(out)
    }

    /// Points not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut out = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(T::MIN);
        for &(low, high) in &self.0 {
            if let (Some(start), Some(end)) = (next, low.pred())
                && start <= end
            {
                out.push((start, end));
            }
            next = high.succ();
        }
        if let Some(start) = next {
            out.push((start, T::MAX));
        }
        Self(out)
    }

    /// Points of this set that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        self.intersect(&other.complement())
    }

    /// Whether every point of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    /// Whether no point is in both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersect(other).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn model(ranges: &[(u8, u8)]) -> BTreeSet<u8> {
        ranges.iter().flat_map(|&(low, high)| low..=high).collect()
    }

    fn points(set: &Intervals<u8>) -> BTreeSet<u8> {
        (0..=u8::MAX).filter(|&point| set.contains(point)).collect()
    }

    proptest! {
        #[test]
        fn algebra_equals_the_model(a: Vec<(u8, u8)>, b: Vec<(u8, u8)>) {
            let (model_a, model_b) = (model(&a), model(&b));
            let (set_a, set_b) = (Intervals::from_ranges(a), Intervals::from_ranges(b));
            prop_assert_eq!(points(&set_a), model_a.clone());
            prop_assert_eq!(points(&set_a.union(&set_b)), &model_a | &model_b);
            prop_assert_eq!(points(&set_a.intersect(&set_b)), &model_a & &model_b);
            prop_assert_eq!(points(&set_a.minus(&set_b)), &model_a - &model_b);
            prop_assert_eq!(points(&set_a.complement()), &model(&[(0, 255)]) - &model_a);
            prop_assert_eq!(set_a.is_subset(&set_b), model_a.is_subset(&model_b));
            prop_assert_eq!(set_a.is_disjoint(&set_b), model_a.is_disjoint(&model_b));
            prop_assert_eq!(set_a.is_empty(), model_a.is_empty());
            prop_assert_eq!(set_a.is_full(), model_a.len() == 256);
        }

        #[test]
        fn equal_points_are_equal_values(a: Vec<(u8, u8)>, b: Vec<(u8, u8)>) {
            let (set_a, set_b) = (Intervals::from_ranges(a), Intervals::from_ranges(b));
            prop_assert_eq!(set_a == set_b, points(&set_a) == points(&set_b));
            prop_assert_eq!(set_a.complement().complement(), set_a.clone());
            // Results of the algebra are in normal form too, not only those of `from_ranges`.
            let both = set_a.intersect(&set_b);
            prop_assert_eq!(Intervals::from_ranges(both.ranges().to_vec()), both);
        }
    }
}
