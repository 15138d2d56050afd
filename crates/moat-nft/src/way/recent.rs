//! What packets in flight may have met already.

use crate::model::Element;
use std::collections::BTreeSet;

/// The changes since the last grace: a packet that is in flight now may have begun before them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recent {
    any: bool,
    switched: bool,
    touched: BTreeSet<Element>,
}

impl Recent {
    /// Whether the next transaction can follow at once.
    ///
    /// A packet walks the rules of its beginning only until the second change after it, whatever those change. So a change of rules has
    /// a grace before it and one after it. And where elements of two local pods change, one after the other, a packet between them could
    /// meet its one end before both changes and the other after both.
    #[must_use]
    pub fn allows(&self, switches: bool, touched: &BTreeSet<Element>) -> bool {
        let others = || self.touched.symmetric_difference(touched).next().is_some();
        let apart = self.touched.is_empty() || touched.is_empty() || !others();
        !(self.switched || switches && self.any) && apart
    }

    /// A transaction happened.
    pub fn note(&mut self, switches: bool, touched: &BTreeSet<Element>) {
        self.any = true;
        self.switched |= switches;
        self.touched.extend(touched.iter().cloned());
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        !self.any
    }
}
