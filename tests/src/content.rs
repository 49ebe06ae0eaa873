//! Bytes to deposit: small ones at hand, large ones as a pseudo-random stream that is never held
//! whole, and the seed that a random test prints.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};

/// SHA-256 of the empty string.
pub const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// `size` bytes that are the same for the same `seed`, and look random.
pub fn random_bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// A random UUID (v4), made here: an id that no server has issued.
pub fn made_up_id() -> String {
    let mut raw = [0; 16];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut raw)).expect("urandom");
    raw[6] = raw[6] & 0x0f | 0x40;
    raw[8] = raw[8] & 0x3f | 0x80;
    let digits = hex(&raw);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The seed of a random test: `DEPOT_SEED`, else a fresh one. Printed, so that a failure tells it.
pub fn seed() -> u64 {
    let seed = match std::env::var("DEPOT_SEED") {
        Ok(text) => text.parse().expect("DEPOT_SEED is a number"),
        Err(_) => u64::from_str_radix(&made_up_id()[..8], 16).expect("eight hex digits"),
    };
    println!("DEPOT_SEED={seed}");
    seed
}

/// A small generator (SplitMix64): the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` less one.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(choices.len() as u64)).expect("an index");
        &choices[index]
    }

    /// Fills `bytes`; a stream may be filled in pieces whose sizes are multiples of 8.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.number().to_le_bytes()[..word.len()]);
        }
    }
}

/// A file too large to hold: made anew each time, [`Stream::PIECE`] bytes at a time.
#[derive(Clone, Debug)]
pub struct Stream {
    random: Random,
    left: u64,
}

impl Stream {
    /// The most that is in memory at once.
    pub const PIECE: usize = 1 << 20;

    /// `size` bytes that follow from `seed`.
    pub fn new(seed: u64, size: u64) -> Self {
        Self { random: Random::new(seed), left: size }
    }

    /// The hash of the whole, by a pass over it.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        self.clone().for_each(|piece| hash.update(&piece));
        hex(&hash.finalize())
    }
}

impl Iterator for Stream {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let size = usize::try_from(self.left).map_or(Self::PIECE, |left| left.min(Self::PIECE));
        if size == 0 {
            return None;
        }
        let mut piece = vec![0; size];
        self.random.fill(&mut piece);
        self.left -= size as u64;
        Some(piece)
    }
}
