//! Randomness that a seed decides.

use std::sync::{Mutex, PoisonError};

use depot_server::seams::Entropy;

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps a number. Good enough
/// to choose test cases and ids by, and nothing else.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose numbers follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0. For a small `end` the bias is too small to see.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }
}

/// The [`Entropy`] of a simulated server: the same seed gives the same bytes.
#[derive(Debug)]
pub struct Seeded(Mutex<SplitMix64>);

impl Seeded {
    /// A source whose bytes follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Seeded(Mutex::new(SplitMix64::new(seed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&numbers.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}
