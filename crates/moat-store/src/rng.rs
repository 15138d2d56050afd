//! Choices of the simulated disk and of tests: splitmix64, the same on every machine for the same seed.

/// The generator's state.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = self.next_u64() % u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(wide).unwrap_or(0)
    }

    /// True once in `of` times; never when that is 0.
    pub fn one_in(&mut self, of: usize) -> bool {
        of != 0 && self.below(of) == 0
    }
}
