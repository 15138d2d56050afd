//! Numbers that follow from content, for names.

use core::hash::Hasher;

/// FNV-1a of 64 bits, the same for the same value in every process of one build.
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
